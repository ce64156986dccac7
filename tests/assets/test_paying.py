"""The daily cap where the money is spent: seeds in a lab whose project may create one image a day."""

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.cli.lab import SITE
from hyops_assets.lab.ensemble import HETZNER_TOKEN_ENV
from hyops_assets.settings.sites import Sites
from tests.assets.house import RELEASE, House

SECOND = f"{RELEASE}-r2"


@pytest.fixture
def capped(published: House) -> House:
    """A house with two records, the first of which is seeded, and the day's one image with it."""
    home = published
    sites = home.settings.sites
    site = sites.hetzner[SITE].model_copy(update={"paid_seeds_a_day": 1})
    home.configure(sites=Sites(proxmox=sites.proxmox, hetzner={SITE: site}))
    graph = home.graph()
    graph.build(SECOND)
    graph.seed_hetzner(SITE, RELEASE)
    return home


def test_a_seed_over_the_cap_is_refused_before_it_asks_for_anything_and_a_person_may_go_over_it(capped: House) -> None:
    graph = capped.graph()
    before = capped.mutations()
    with pytest.raises(RunFailed, match=r"DailyCapReached.*1 of 1 paid images were created at lab.*goes on at") as no:
        graph.seed_hetzner(SITE, SECOND)
    assert "--over-daily-cap" in str(no.value)
    assert capped.mutations() == before
    # What is there is adopted all the same: it costs nothing.
    adopted = graph.seed_hetzner(SITE, RELEASE)
    assert adopted.metadata["hetzner_image"]["outcome"] == "adopted"
    assert capped.mutations() == before
    created = graph.seed_hetzner(SITE, SECOND, {"over_daily_cap": True})
    assert created.metadata["hetzner_image"]["outcome"] == "created"
    assert HETZNER_TOKEN_ENV not in str(created.metadata)
