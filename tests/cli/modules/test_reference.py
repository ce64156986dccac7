import re
from pathlib import Path

import pytest
import yaml

from hyops_assets.cli.init import TEMPLATE
from hyops_assets.cli.modules.reference import (
    MODULES_PAGE,
    SETTINGS_PAGE,
    keys_of,
    made_pages,
    modules_page,
    settings_page,
)
from hyops_assets.cli.modules.registry import MODULES, Module
from hyops_assets.cli.modules.specs import spec_of, write_made
from hyops_assets.settings.pipeline import Settings

CHECKOUT = Path(__file__).parents[3]
DOCS = CHECKOUT / "docs"
MODULE = pytest.mark.parametrize("module", MODULES.values(), ids=lambda module: module.ref)


@pytest.mark.parametrize("name", [SETTINGS_PAGE, MODULES_PAGE])
def test_a_reference_page_is_what_the_models_make(name: str) -> None:
    """Where this fails: make specs"""
    path = DOCS / "reference" / name
    assert path.read_text() == made_pages(DOCS / "reference")[path]


def test_writing_the_pages_twice_writes_nothing_the_second_time(tmp_path: Path) -> None:
    assert len(write_made(made_pages(tmp_path))) == 2
    assert write_made(made_pages(tmp_path)) == []


def test_every_setting_says_what_it_is() -> None:
    assert [key.path for key in keys_of(Settings) if not key.about] == []


def test_every_key_of_the_template_stands_in_the_reference() -> None:
    text = re.sub(r"^#:", "", "\n".join(line for line in TEMPLATE.splitlines() if line.startswith("#:")), flags=re.M)
    known = {key.path for key in keys_of(Settings)}

    def paths(node: object, above: str) -> list[str]:
        if isinstance(node, list):
            return [path for item in node for path in paths(item, f"{above}[]")] or [above]
        if not isinstance(node, dict):
            return [above]
        named = above in {"sites.proxmox", "sites.hetzner"}
        return [
            path
            for name, item in node.items()
            for path in paths(item, f"{above}.{'<name>' if named else name}".lstrip("."))
        ]

    written = {path.removesuffix("[]") for path in paths(yaml.safe_load(text), "")}
    assert len(written) > 15
    assert written - known == set()


@MODULE
def test_the_page_names_every_input_and_output_of_a_module(module: Module) -> None:
    section = modules_page().split(f"\n## {module.ref}\n")[1].split("\n## ")[0]
    inputs = {re.split(r"[.\[]", name)[0] for name in re.findall(r"^\| `([^`]+)`", section, flags=re.M)}
    assert inputs == set(module.inputs.model_fields)
    outputs = set(re.findall(r"`([^`]+)`", section.split("\nOutputs: ")[1]))
    assert outputs == set(spec_of(module)["outputs"]["publish"])


def test_no_line_outside_a_table_is_longer_than_a_screen() -> None:
    prose = [line for line in (settings_page() + modules_page()).splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > 120] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    """Weaker than following the web: relative links only, without their anchors."""
    pages = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    lost = [
        f"{page.relative_to(CHECKOUT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert lost == []
