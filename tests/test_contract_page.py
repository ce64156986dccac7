"""docs/contract.md names tests: each has to be there."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def test_every_test_that_the_contract_page_names_exists() -> None:
    named = set(re.findall(r"`([a-z_/]+/test_[a-z_]+\.py)`", (CHECKOUT / "docs/contract.md").read_text()))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (CHECKOUT / "tests" / name).is_file()] == []
