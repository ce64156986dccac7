"""What people read where a document or an input is wrong: words of ours, and nothing that was given."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.settings.pipeline import Settings
from resources.yaml_files import UnreadableYaml, read_yaml
from tests.sources import PACKAGES, PRODUCT

CHECKOUT = Path(__file__).parents[2]
LIBRARY = re.compile(r"Extra inputs|Value error|Input should|String should|Field required|valid dictionary|pydantic")
SITE = {"host": "pve1", "node": "pve1", "token_id": "hyops@pve!seed", "token_env": "PROXMOX_TOKEN"}


def wrong(given: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate(given)
    return wrong_values(refusal.value, "the file")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sites": {"hetzner": {"main": {"tokn_env": "X"}}}}, "sites.hetzner.main.tokn_env: there is no such key"),
        ({"feed": {"poll_seconds": "soon"}}, "feed.poll_seconds: has to be a whole number"),
        ({"feed": {"poll_seconds": 1}}, "feed.poll_seconds: has to be at least"),
        ({"feed": []}, "feed: has to be a mapping of keys to values"),
        ({"build": {"method": "magic"}}, "build.method: has to be 'native'"),
        ({"sites": {"proxmox": {"main": {**SITE, "host": "https://pve1.example.com:8006"}}}}, "name or address alone"),
        ({"sites": {"proxmox": {"main": {**SITE, "host": "pve1:8006"}}}}, "name or address alone"),
        ({"sites": {"proxmox": {"main": {**SITE, "host": "pve1 "}}}}, "neither a DNS name"),
        ({"sites": {"proxmox": {"main": {**SITE, "host": "10.0.0.5/api"}}}}, "neither a DNS name"),
        (
            {"sites": {"proxmox": {"main": {**SITE, "node": "../x"}}}},
            "main.node: does not have the form",
        ),
        ({"sites": {"hetzner": {"main": {"endpoint": "api.hetzner.cloud"}}}}, "sites.hetzner.main.endpoint: "),
        ({"sites": {"proxmox": {"main": {}}}}, "sites.proxmox.main.host: is missing"),
    ],
)
def test_a_mistake_in_the_settings_is_named_in_plain_words(given: dict[str, Any], said: str) -> None:
    text = wrong(given)
    assert said in text
    assert not LIBRARY.search(text)


@pytest.mark.parametrize("model", [BuildInputs, ImageSeedInputs])
def test_every_input_of_every_wrong_kind_is_refused_in_plain_words(model: type[BuildInputs | ImageSeedInputs]) -> None:
    for value in ({"a": 1}, [1], 1.5, "\x00", True, -1, object()):
        with pytest.raises(ValidationError) as refusal:
            model.model_validate(dict.fromkeys(model.model_fields, value))
        text = wrong_values(refusal.value, "inputs")
        assert not LIBRARY.search(text)
        assert "not what belongs there" not in text


def test_no_other_file_reads_the_library_s_text() -> None:
    reading = [
        str(path.relative_to(CHECKOUT))
        for floor in PACKAGES
        for path in (CHECKOUT / floor).rglob("*.py")
        if re.search(r"""\[["']msg["']\]""", path.read_text())
    ]
    assert reading == []
    assert sum(1 for floor in PACKAGES for _ in (CHECKOUT / floor).rglob("*.py")) > 500


@pytest.mark.seconds
def test_no_message_quotes_what_the_system_said_with_its_number() -> None:
    """`[Errno 2] No such file or directory: 'build.yml'` is Python's text: `said_by_system` has the words alone."""
    quoting = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno}"
        for floor in PRODUCT
        for path in (CHECKOUT / floor).rglob("*.py")
        for handler in ast.walk(ast.parse(path.read_text()))
        if isinstance(handler, ast.ExceptHandler) and handler.name and "OSError" in ast.dump(handler.type or handler)
        for node in ast.walk(handler)
        if isinstance(node, ast.expr)
        and ast.dump(node) in {ast.dump(one) for one in (_quoted(handler.name), _as_text(handler.name))}
    ]
    assert quoting == []


PROSE_ALONE = {
    "hyops_assets/image/overlay/apt.py": "apt ends with 100 whatever is wrong; it runs under LC_ALL=C",
    "hyops_assets/image/methods/vyos_vm_images.py": "Ansible ends with 2 whatever a task lacks",
    "hyops_assets/image/space.py": "programs say ENOSPC in words alone; they run under LC_ALL=C",
    "resources/sites/proxmox/removal.py": "a worker of Proxmox VE ends with a text and no status",
    "resources/repository/gcs_upload.py": "Google's client raises a bare ValueError; the version is pinned",
    "resources/feed/download.py": "looks for our own URL, not for words",
}
"""Where nothing but words of others tells what happened, and why. What a service words otherwise is missed."""


@pytest.mark.seconds
def test_no_decision_stands_on_how_a_service_words_its_refusal() -> None:
    deciding = {
        str(path.relative_to(CHECKOUT))
        for floor in PRODUCT
        for path in (CHECKOUT / floor).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ast.In | ast.NotIn) for one in node.ops)
        and any(_is_said(one) for one in node.comparators)
    }
    assert deciding == set(PROSE_ALONE)


def _is_said(node: ast.expr) -> bool:
    """Tell whether this is what an error says: its message, or its text."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"message", "printed", "strerror"}
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "str"
        and any(isinstance(one, ast.Name) and "error" in one.id for one in node.args)
    )


MAY_NAME_A_CLASS = {
    "hyops_assets/contract/errors.py": "of an error that has no words at all",
    "hyops_assets/cli/modules/seed_outlook.py": "of a fault of ours that nothing foresaw, as what follows here",
    "hyops_assets/cli/module_run.py": "",
    "resources/error_border.py": "",
    "resources/repository/gcs_errors.py": "of Google's libraries, where they say nothing else",
}


def test_no_message_names_a_class_of_a_library() -> None:
    """`no answer (ConnectionError)` helps a programmer: `why_unanswered` says what the network did."""
    naming = {
        str(path.relative_to(CHECKOUT))
        for floor in PACKAGES
        for path in (CHECKOUT / floor).rglob("*.py")
        if re.search(r"type\(\w+\)\.__name__", path.read_text())
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler | ast.FunctionDef)
        and any(ast.unparse(one) == "type(error).__name__" for one in ast.walk(node) if isinstance(one, ast.expr))
    }
    assert naming == set(MAY_NAME_A_CLASS)


def _quoted(name: str) -> ast.AST:
    return ast.FormattedValue(ast.Name(name, ast.Load()), conversion=-1)


def _as_text(name: str) -> ast.AST:
    return ast.Call(ast.Name("str", ast.Load()), [ast.Name(name, ast.Load())], [])


def test_what_is_no_yaml_is_said_by_line_and_column_without_its_text(tmp_path: Path) -> None:
    file = tmp_path / "build.yml"
    for content, said in (
        (None, "build.yml cannot be read: No such file or directory"),
        ("a: 1\nb: [secret\n", "build.yml cannot be read: line 3, column 1: expected ',' or ']'"),
        ("a: 1\na: 2\n", "build.yml cannot be read: line 2, column 1: 'a' stands there twice"),
    ):
        if content is not None:
            file.write_text(content)
        with pytest.raises(UnreadableYaml) as refused:
            read_yaml(file)
        assert said in refused.value.message
        assert "secret" not in refused.value.message
