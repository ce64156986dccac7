"""A look that fails is a finding, whatever a client's library raised."""

from hyops_assets.cli.modules.seed_outlook import tried
from hyops_assets.contract.errors import Refused


def test_a_look_that_fails_in_a_way_that_nothing_foresaw_is_a_failed_check() -> None:
    def look() -> str:
        raise ValueError("a library's\nown words")

    found = tried("readiness:proxmox/main", look)
    assert (found.status, found.detail) == ("fail", "could not be looked at: ValueError: a library's own words")


def test_a_look_that_is_refused_says_what_to_do_next() -> None:
    def look() -> str:
        raise Refused("no such storage", hint="pvesm status")

    assert tried("readiness:proxmox/main", look).detail == "no such storage; pvesm status"
