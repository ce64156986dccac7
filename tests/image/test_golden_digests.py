"""The same ISO, settings and method give the bytes that the table says: a change of bytes is never an accident."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.image.build import BUILDER_VERSION
from tests.image.conftest import Workshop, workshop
from tests.image.golden import CASES, DISK_ENV, TABLE, Case, digests, line_of

pytestmark = pytest.mark.seconds

__all__ = ["workshop"]

CHECKOUT = Path(__file__).parents[2]
LINES: list[dict[str, Any]] = json.loads(TABLE.read_text())


@pytest.mark.parametrize(
    ("case", "line"), zip(CASES, LINES, strict=True), ids=[f"{case.settings}, {case.method}" for case in CASES]
)
def test_a_record_has_the_bytes_that_its_line_says(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, line: dict[str, Any]
) -> None:
    monkeypatch.setenv(DISK_ENV, "")
    found = line_of(case, workshop, *digests(workshop, case, tmp_path))
    other = {name: used for name, used in found["made with"].items() if line["made with"].get(name) != used}  # type: ignore[attr-defined]
    if other and found["digests"] != line["digests"]:
        pytest.skip(f"this host has other programs than the table was made with: {other}")
    assert found["digests"] == line["digests"], "raise BUILDER_VERSION, then: python -m tests.image.golden"
    of = ("fixture", "settings", "method")
    assert [found[name] for name in of] == [line[name] for name in of]


def test_every_line_is_of_this_builder() -> None:
    assert {line["builder"] for line in LINES} == {BUILDER_VERSION}


def made(line: dict[str, Any]) -> tuple[str, ...]:
    """What a line's digests must follow from."""
    tools = json.dumps(line["made with"], sort_keys=True)
    return line["fixture"], line["settings"], line["method"], line["builder"], tools


def test_no_line_of_a_builder_ever_changed() -> None:
    table = str(TABLE.relative_to(CHECKOUT))
    asked = ["git", "log", "--format=%H", "--", table]
    commits = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.split()
    if not commits:
        pytest.skip("no history is here")
    today = {made(line): line["digests"] for line in LINES}
    for commit in commits:
        shown = subprocess.run(["git", "show", f"{commit}:{table}"], cwd=CHECKOUT, capture_output=True, check=True)
        for line in json.loads(shown.stdout):
            assert today.get(made(line), line["digests"]) == line["digests"], f"{commit[:12]}: raise BUILDER_VERSION"
