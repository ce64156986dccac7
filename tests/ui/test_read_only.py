"""`hyops ui --read-only`: the flag reaches the UI, and the UI that it makes shows everything and starts nothing."""

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from hyops_assets.cli import dev
from hyops_assets.cli.main import app
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.ui import serve
from tests.ui.served import Ui

WIPE = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["x"]}}]) { __typename } }'


class Asked(Exception):
    """The command asked for a UI."""


@pytest.mark.parametrize(("flags", "read_only"), [([], False), (["--read-only"], True)])
@pytest.mark.parametrize("command", ["ui", "dev"])
def test_the_flag_reaches_the_ui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, flags: list[str], read_only: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def ui(_root: RuntimeRoot, _port: int, **how: Any) -> None:
        asked.append(how)
        raise Asked

    monkeypatch.setattr(dev, "Ui", ui)
    # What the command does to its own process before.
    monkeypatch.setattr(dev, "close_to_others", lambda: None)
    monkeypatch.setattr(dev.signal, "signal", lambda *_: None)
    monkeypatch.setenv("PYTHONWARNINGS", "")
    ran = CliRunner().invoke(app, [command, *flags, "--root", str(tmp_path)])
    assert isinstance(ran.exception, Asked), ran.output
    assert asked == [{"read_only": read_only, "guarded": True}]


def test_a_ui_that_is_read_only_shows_everything_and_starts_nothing(tmp_path: Path) -> None:
    """Of a workspace that names no code, which would take a process of its own."""
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    root, ready = RuntimeRoot(tmp_path / "root"), threading.Event()
    served = serve.Ui(root, 0, read_only=True)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        thread = threading.Thread(
            target=served.serve, args=(instance, workspace), kwargs={"ready": lambda _: ready.set()}
        )
        thread.start()
        try:
            assert ready.wait(60)
            ui = Ui(served.address, root)
            ui.enter()
            assert ui.ask("{assetsOrError{__typename}}") == {"assetsOrError": {"__typename": "AssetConnection"}}
            assert ui.ask(WIPE)["wipeAssets"]["__typename"] == "UnauthorizedError"
        finally:
            served.stop()
            thread.join()
