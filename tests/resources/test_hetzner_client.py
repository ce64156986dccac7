import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_assets.settings.sites import HetznerSite, Sites
from hyops_lab.faults import Answer
from resources.environment import environment
from resources.secrets import MissingSecret
from resources.sites.hetzner.errors import ActionFailed, BadToken, HetznerUnavailable
from resources.sites.hetzner.inventory import Offer
from resources.sites.hetzner.resource import HetznerProjects, client_of, hetzner_sites
from resources.sites.hetzner.workbench import choose_offers
from tests.hetzner_lab import TOKEN, Lab, hetzner_lab, make_record


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


def test_a_wrong_token_is_refused_once_and_said(lab: Lab) -> None:
    with pytest.raises(BadToken, match="unauthorized") as caught:
        lab.seeder(client=lab.client("wrong-token-value")).seed(lab.request())

    assert len(lab.trace.requests()) == 1
    assert "wrong-token-value" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"


def test_the_token_is_seen_nowhere(lab: Lab, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    seeder = lab.seeder()

    image = seeder.seed(lab.request())

    assert TOKEN not in f"{image!r}{seeder!r}{vars(seeder)!r}{caplog.text}"
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".disk"]
    assert kept
    assert all(TOKEN.encode() not in file.read_bytes() for file in kept)


def test_an_api_that_is_down_is_worth_another_try(lab: Lab) -> None:
    lab.fault("GET", "/images", Answer(503, "unavailable"), *range(1, 100))
    with pytest.raises(HetznerUnavailable, match="listing snapshots"):
        lab.client().list_snapshots()

    lab.fault("GET", "/server_types", Answer(500, "server_error"), *range(1, 100))
    with pytest.raises(HetznerUnavailable):
        lab.client().list_offers()


def test_a_server_type_is_offered_only_where_it_is_sold(lab: Lab) -> None:
    lab.standin.sold_out.add(("cx23", "nbg1"))

    offers = {(offer.server_type, offer.location) for offer in lab.client().list_offers()}

    assert ("cx23", "fsn1") in offers
    assert ("cx23", "nbg1") not in offers
    assert {name for name, _ in offers} == {"cx23", "cx33", "cpx22"}, "no arm, nothing retired"


def test_the_smallest_disk_comes_first_then_price_then_the_sites_order() -> None:
    offers = [
        Offer("big", "fsn1", 80, 0.001),
        Offer("dear", "hel1", 40, 0.02),
        Offer("cheap", "nbg1", 40, 0.01),
        Offer("cheap", "hel1", 40, 0.01),
        Offer("tiny", "hel1", 1, 0.001),
        Offer("far", "ash", 40, 0.001),
    ]
    disk = make_record().disk.model_copy(update={"size_bytes": 2 << 30})

    chosen = choose_offers(offers, disk.size_bytes, ["hel1", "nbg1", "fsn1"])

    assert [(offer.server_type, offer.location) for offer in chosen] == [
        ("cheap", "hel1"),
        ("cheap", "nbg1"),
        ("dear", "hel1"),
        ("big", "fsn1"),
    ]


def test_an_action_that_does_not_end_in_time_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, delays={"create_server": 30.0}) as lab:
        lab.timeouts = replace(lab.timeouts, action=0.1, snapshot=0.1, locked=0.1)

        with pytest.raises(ActionFailed, match="did not end in time") as caught:
            lab.seeder().seed(lab.request())

        assert "was not deleted and costs money" in caught.value.__notes__[0]


def test_a_seeder_reads_its_token_from_the_variable_that_the_site_names(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = lab.site.model_copy(update={"token_env": "LAB_TOKEN"})
    projects = HetznerProjects(Settings(sites=Sites(hetzner={"lab": site})), timeouts=lab.timeouts)

    with pytest.raises(MissingSecret, match="LAB_TOKEN"):
        projects.seeder("lab")
    with pytest.raises(SettingsError, match="no hetzner site 'prod'"):
        projects.seeder("prod")
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    assert projects.seeder("lab").find(make_record()) == []


def test_a_token_is_never_sent_in_clear_outside_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)

    with pytest.raises(ValidationError, match="in clear"):
        HetznerSite(endpoint="http://127.0.0.1:1/v1")
    assert TOKEN not in repr(client_of(HetznerSite()))


def test_the_dagster_resource_gives_the_sites_of_an_environment(tmp_path: Path) -> None:
    with (
        dg.build_resources(
            {"environment": environment(RuntimeRoot(tmp_path)), "hetzner": hetzner_sites()}
        ) as resources,
        pytest.raises(SettingsError, match=r"config/pipeline\.yml"),
    ):
        resources.hetzner.seeder("prod")
