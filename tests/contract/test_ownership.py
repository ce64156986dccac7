"""Whose a thing is: decided by what it says and by what this environment knows, and never by what is missing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.ownership import Claim, is_environment_id, new_environment_id, owner_of, seal_of

OURS, THEIRS = "0e" * 10, "a1" * 10


def claim(environment: str | None = OURS, *, seed_id: str = "0123456789abcdef", digest: str = "ab" * 32) -> Claim:
    seal = None if environment is None else seal_of(environment, seed_id=seed_id, record_digest=digest)
    return Claim(environment, seal, seed_id, digest, "run")


def test_an_id_is_new_each_time_and_is_one() -> None:
    made = {new_environment_id() for _ in range(100)}
    assert len(made) == 100
    assert all(is_environment_id(one) for one in made)


def test_what_names_this_environment_as_its_seed_wrote_it_is_ours() -> None:
    assert owner_of(claim(), OURS, proven=False).ours


@pytest.mark.parametrize("proven", [False, True])
def test_what_names_another_environment_is_that_ones_whatever_is_known_here(*, proven: bool) -> None:
    owner = owner_of(claim(THEIRS), OURS, proven=proven)
    assert (owner.whose, owner.why) == ("another's", f"belongs to environment {THEIRS}")


def test_what_names_none_is_ours_only_where_that_is_proven() -> None:
    assert owner_of(claim(None), OURS, proven=True).ours
    assert owner_of(claim(None), OURS, proven=False).whose == "unknown"
    assert owner_of(claim(None), None, proven=False).whose == "unknown"


@pytest.mark.parametrize(
    "edited",
    [
        replace(claim(THEIRS), environment=OURS),
        replace(claim(), seal=None),
        replace(claim(), seed_id="fedcba9876543210"),
        replace(claim(), record_digest="cd" * 32),
    ],
)
def test_what_was_made_to_name_this_environment_is_not_known_to_be_ours(edited: Claim) -> None:
    owner = owner_of(edited, OURS, proven=False)
    assert owner.whose == "unknown"
    assert "somebody changed it" in owner.why


@pytest.mark.parametrize("said", ["", "dev", OURS.upper(), f"{OURS}0", "0" * 64])
def test_what_names_no_id_is_not_known(said: str) -> None:
    assert owner_of(claim(said), OURS, proven=True).whose == "unknown"


def test_an_environment_without_an_id_owns_nothing_that_has_one() -> None:
    assert owner_of(claim(), None, proven=True).whose == "another's"


@given(st.sampled_from([None, OURS, THEIRS, "", "x"]), st.sampled_from([None, OURS, THEIRS]), st.booleans())
def test_ours_is_only_what_says_so_or_says_nothing_and_is_proven(
    said: str | None, environment: str | None, proven: bool
) -> None:
    owner = owner_of(claim(said), environment, proven=proven)
    assert owner.ours == ((said is not None and said == environment) or (said is None and proven))
