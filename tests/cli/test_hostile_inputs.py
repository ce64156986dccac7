"""Whatever stands in a file of inputs: a result, or one typed error. No traceback is printed."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.cli.environment import named_place
from hyops_assets.cli.modules.registry import MODULES
from hyops_assets.cli.prepare import ModuleCommand, inputs_document, prepare
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.references import IMAGE_ARTIFACT, IMAGE_BUILD, IMAGE_SEED
from tests.cli import shell

VERSION = "2026.03.03-0027-rolling"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))

HOSTILE = {
    "contains-itself": ("notes: &a [*a]", "contains itself"),
    "whole-contains-itself": ("&a\nnotes: *a", "contains itself"),
    "a-billion-values": (LAUGHS, "more than 20000 values"),
    "deep": (f"notes: {'[' * 40}{']' * 40}", "deeper than 32 levels"),
    "deeper-than-python": (f"notes: {'[' * 1200}{']' * 1200}", "cannot be read"),
    "a-date-as-name": ("record_variants: {2026-03-03: x}", "a date is no name"),
    "a-list-as-name": ("notes: {[a]: 1}", "cannot be read"),
    "a-number-as-input": ("1: x", "no mapping of inputs"),
    "a-long-number": (f"notes: 0x{'f' * 6000}", "64 bits"),
    "a-longer-number": (f"notes: {'1' * 6000}", "cannot be read"),
    "bytes": ("notes: !!binary aGVsbG8=", "of the kind bytes"),
    "a-set": ("notes: !!set {a, b}", "of the kind set"),
    "a-tag-that-runs": ("notes: !!python/object/apply:os.system [id]", "cannot be read"),
    "two-documents": ("notes: a\n---\nnotes: b", "cannot be read"),
    "a-name-that-stands-twice": (f"record_version: {VERSION}\nrecord_version: 2026.03", "stands there twice"),
    "half-a-character": ('notes: "\\ud800"', "half a character"),
    "nul-in-a-path": ('source_iso_url: "/\\0/x.iso"', "NUL"),
    "no-utf-8": (b"notes: \xff\xfe\xfa", "cannot be read"),
    "not-a-number": (f"record_version: {VERSION}\nsmoke_verify_timeout_s: .nan", "smoke_verify_timeout_s"),
    "a-list-for-a-text": (f"record_version: [{VERSION}]", "record_version"),
    "a-mapping-for-a-text": (f"record_version: {{a: {VERSION}}}", "record_version"),
    "a-nested-placeholder": (f"record_version: {VERSION}\nrequired_env: [CHANGE_ME]", "placeholders are left in"),
    "a-reference-that-climbs": (f"record_version: {VERSION}\nrepo_state_ref: org/../../etc", "not a state reference"),
    "an-endless-reference": (f"record_version: {VERSION}\nrepo_state_ref: {'a/' * 20000}b", "no state reference"),
    "a-long-reference": (f"record_version: {VERSION}\nrepo_state_ref: org/{'a' * 300}", "more than 128 characters"),
    "digits-of-another-script": ('record_version: "٢٠٢٦.٠٣"', "not a VyOS release"),
    "a-key-that-climbs": (f"record_version: {VERSION}\nrecord_key: ../../etc", "record_key"),
}  # fmt: skip


def written(directory: Path, content: str | bytes) -> Path:
    path = directory / "inputs.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def printable(error: HyopsError) -> str:
    assert error.hint
    assert len(error.message) < 5000
    error.message.encode()
    return error.message


def validated(directory: Path, module: str, path: Path | None, environ: dict[str, str] | None = None) -> str:
    """What the inputs come to: a document that can be written, or an error that can be printed."""
    try:
        prepared = prepare(ModuleCommand("validate", named_place(directory, None), module, path), environ or {})
    except HyopsError as error:
        return printable(error)
    json.dumps(prepared.redactor.document(inputs_document(prepared)), allow_nan=False).encode()
    yaml.safe_dump(prepared.redactor.document(dict(prepared.layers.given))).encode()
    return ""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_what_is_wrong_with_it(tmp_path: Path, name: str) -> None:
    content, why = HOSTILE[name]
    assert why in validated(tmp_path, IMAGE_BUILD, written(tmp_path, content))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_falls_over_a_hostile_file(tmp_path: Path, module: str) -> None:
    # What the YAML reader itself refuses, slowly, is the same for every module.
    for content, _ in (case for case in HOSTILE.values() if case[1] != "cannot be read"):
        assert validated(tmp_path, module, written(tmp_path, content))


@pytest.mark.parametrize("name", ["a-billion-values", "contains-itself", "nul-in-a-path", "an-endless-reference"])
def test_a_user_sees_one_line_and_a_next_step(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    content, why = HOSTILE[name]
    where = ("--env", "dev", "--module", IMAGE_BUILD, "--inputs", written(tmp_path, content))
    ran = shell.hyops(shell.environment(home), "validate", *where, within=30)
    lines = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout, len(lines)) == (1, "", 2), ran
    assert lines[0].startswith("ERR: ")
    assert why in lines[0]
    assert lines[1].startswith("  next: ")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "environ",
    [
        {"HYOPS_INPUTS_JSON": "[" * 100_000},
        {"HYOPS_INPUTS_JSON": f'{{"notes": {"9" * 5000}}}'},
        {"HYOPS_INPUTS_JSON": '{"notes": "\\ud800"}'},
        {"HYOPS_INPUTS_JSON": f'{{"notes": {"[" * 40}{"]" * 40}}}'},
        {"HYOPS_INPUT_NOTES": "\udcff"},
        {"HYOPS_INPUT_REQUIRED_ENV": '["\\u0000"]'},
        {"HYOPS_INPUT_REQUIRED_ENV": "[" * 100_000},
    ],
    ids=["deep", "number", "half-a-character", "nested", "no-utf-8", "nul", "deep-input"],
)
def test_a_hostile_variable_is_refused_by_its_name(tmp_path: Path, environ: dict[str, str]) -> None:
    # The version is given, so that nothing but the variable is wrong.
    message = validated(tmp_path, IMAGE_BUILD, written(tmp_path, f"record_version: {VERSION}"), environ)
    assert message
    assert any(name in message or name.removeprefix("HYOPS_INPUT_").lower() in message for name in environ)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.binary(max_size=8), st.text(max_size=20),
    st.sampled_from([VERSION, "https://h/x", "gs://b/x", "../..", f"{IMAGE_BUILD}#x", "CHANGE_ME", "qcow2", "https://["]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(SCALARS, inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.seconds
@pytest.mark.parametrize("module", [IMAGE_BUILD, IMAGE_ARTIFACT, IMAGE_SEED])
def test_any_values_under_a_modules_names_give_a_result_or_a_typed_error(tmp_path: Path, module: str) -> None:
    names = st.sampled_from(sorted(MODULES[module].inputs.model_fields))

    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(names, VALUES, max_size=4))
    def check(document: dict[str, object]) -> None:
        try:
            content = yaml.safe_dump(document, allow_unicode=True).encode()
        except (yaml.YAMLError, UnicodeEncodeError, TypeError):
            return
        validated(tmp_path, module, written(tmp_path, content))

    check()


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.text("{}[]&*!|>:-,'\"#%@?~ \n\tab01.\\", max_size=60)))
def test_any_bytes_as_a_file_give_a_result_or_a_typed_error(tmp_path: Path, content: bytes | str) -> None:
    validated(tmp_path, IMAGE_BUILD, written(tmp_path, content))
