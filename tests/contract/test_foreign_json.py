import re
from pathlib import Path

import pytest

import hyops_assets
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.redaction import Redactor
from tests.sources import PRODUCT

ROOT = Path(hyops_assets.__file__).parents[1]
OURS = {
    "hyops_assets/contract/foreign_json.py": "the reader itself",
    "hyops_assets/image/credentials.py": "a list that a program of ours printed",
}
"""Files that read JSON of their own."""


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "1" * 10_000, b"\xff\xfe\xff", b"\xff"])
def test_what_is_no_json_is_a_value_error_however_deep_it_nests(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parsed_json(text)


def test_a_secret_of_brackets_ends_no_redaction() -> None:
    assert Redactor({"A_TOKEN": "[" * 100_000}).text("nothing") == "nothing"


def test_no_other_reader_of_json_from_elsewhere_is_used() -> None:
    reads = re.compile(r"\bjson\.loads?\(")
    found = {
        str(path.relative_to(ROOT))
        for part in PRODUCT
        for path in (ROOT / part).rglob("*.py")
        if reads.search(path.read_text())
    }
    assert found == set(OURS)
