import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hyops_assets.image.shipped import canonical_helper
from hyops_lab.lookalike import configtree, schema, validation
from hyops_lab.lookalike.configtree import ConfigTree
from hyops_lab.miniature import config_footer, default_config
from tests.tools.shapes import RELEASE


class Guest:
    """A guest's files in a directory, and what cloud-init would hand to the module."""

    def __init__(self, root: Path, module: ModuleType) -> None:
        self.root = root
        self.module = module
        self.network: Any = {"version": 1, "config": []}
        self.keys: list[str] = []
        self.host: Any = None

    @property
    def cloud(self) -> Any:
        return SimpleNamespace(
            datasource=SimpleNamespace(network_config=self.network),
            get_public_ssh_keys=lambda: self.keys,
            get_hostname=lambda **_: self.host,
        )

    def boot(self, **cfg: Any) -> list[str]:
        return self.module.apply_vyos_config_boot(cfg, self.cloud)

    @property
    def config(self) -> Path:
        return self.root / "config" / "config.boot"

    @property
    def text(self) -> str:
        return self.config.read_text()

    @property
    def commands(self) -> list[str]:
        return ConfigTree(self.text).to_commands().splitlines()


@pytest.fixture(scope="session")
def cc_vyos_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cc_vyos_under_test", canonical_helper())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cc_vyos(cc_vyos_module: ModuleType) -> Iterator[ModuleType]:
    sys.modules.update({"vyos": ModuleType("vyos"), "vyos.configtree": configtree})
    yield cc_vyos_module
    del sys.modules["vyos"], sys.modules["vyos.configtree"]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VyOS' schema as the look-alike has it, written as a directory of node.def files."""
    root = tmp_path_factory.mktemp("templates")
    for name, text in schema.templates().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def program(path: Path, script: str) -> Path:
    """Write a shell's program."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def guest(tmp_path: Path, cc_vyos: ModuleType, templates: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    default = tmp_path / "config.boot.default"
    default.write_text(default_config())
    (tmp_path / "config").mkdir()
    monkeypatch.setattr(cc_vyos, "CONFIG", tmp_path / "config" / "config.boot")
    monkeypatch.setattr(cc_vyos, "OWN_DEFAULT", tmp_path / "own.default")
    monkeypatch.setattr(cc_vyos, "DEFAULT", default)
    monkeypatch.setattr(cc_vyos, "MIGRATION", tmp_path / "migrate")
    monkeypatch.setattr(cc_vyos, "FOOTER", program(tmp_path / "footer", f"cat <<'EOF'\n{config_footer(RELEASE)}EOF"))
    # The same judge, without a process of Python for each value; `test_cc_vyos_values` runs the program.
    monkeypatch.setattr(cc_vyos, "validate_value", validation.accepts)
    monkeypatch.setattr(cc_vyos, "INTERFACES", tmp_path / "net")
    monkeypatch.setattr(cc_vyos, "TEMPLATES", templates)
    return Guest(tmp_path, cc_vyos)
