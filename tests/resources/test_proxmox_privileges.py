"""The roles of docs/proxmox.md, read from there: enough for a whole seed, and not one right too many."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_lab.proxmox.server import Exchange
from resources.sites.proxmox import seed as seeding
from resources.sites.proxmox.errors import SiteNotReady
from resources.sites.proxmox.smoke import SmokeFailed
from tests.proxmox_scene import Scene, proxmox_scene

pytestmark = pytest.mark.seconds

PAGE = Path(__file__).parents[2] / "docs" / "proxmox.md"


def roles() -> dict[str, list[str]]:
    """Return the privileges of each role for Proxmox VE 9, as the page has them."""
    found = re.findall(r'^pveum role add (\w+) --privs "([^"]+)"', PAGE.read_text(), re.MULTILINE)
    # The first line of a role is that for 9.
    return {name: privileges.split() for name, privileges in reversed(found)}


def granted() -> dict[str, str]:
    """Return the role that the page grants at each path."""
    return dict(re.findall(r"^  pveum acl modify (\S+) \$who --roles (\w+)", PAGE.read_text(), re.MULTILINE))


ASKED = [(path, privilege) for path, role in granted().items() for privilege in roles()[role]]
READER = "HyopsReader"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path, boot_guests=True) as scene:
        privileges = {path: frozenset(roles()[role]) for path, role in granted().items()}
        scene.stand_in.access.privileges = {"/": frozenset(), **privileges}
        yield scene


def forbidden(scene: Scene) -> list[Exchange]:
    seen: list[Exchange] = []
    scene.stand_in.observers.append(lambda exchange: seen.append(exchange) if exchange.status == 403 else None)
    return seen


def test_the_page_grants_every_role_that_a_seed_needs() -> None:
    assert set(roles()) - {READER} == set(granted().values())
    assert len(ASKED) > 15


def test_the_roles_are_enough_for_a_seed_its_adoption_and_its_removal(scene: Scene) -> None:
    refused = forbidden(scene)

    seeded = scene.seeder().seed(scene.request())
    assert (seeded.outcome, seeded.warnings) == ("created", ())
    assert scene.seeder().seed(scene.request()).outcome == "adopted"
    scene.finish(scene.client().delete_machine(seeded.vmid))
    assert refused == []


def test_the_roles_are_enough_for_an_upload_without_the_right_to_download(scene: Scene) -> None:
    del scene.stand_in.access.privileges["/nodes/pve1"]

    assert scene.seeder().seed(scene.request(url=scene.qcow2.as_uri())).outcome == "created"


def test_the_roles_are_enough_for_the_smoke_gate(scene: Scene) -> None:
    refused = forbidden(scene)

    # The disk of this scene boots nothing, so no agent answers: everything up to there is allowed.
    with pytest.raises(SmokeFailed, match="its guest agent was silent"):
        scene.seeder(template_smoke_gate=True).seed(scene.request())
    assert refused == []
    assert list(scene.stand_in.inventory.machines) == [9200]


@pytest.mark.parametrize(("path", "privilege"), ASKED)
def test_a_right_that_is_taken_away_is_missed_by_the_preflight_and_by_the_seed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str, privilege: str
) -> None:
    access = scene.stand_in.access
    access.privileges[path] = access.privileges[path] - {privilege}
    seeder = scene.seeder(template_smoke_gate=True)

    with pytest.raises(SiteNotReady, match=re.escape(privilege) if privilege != "SDN.Use" else "vmbr0"):
        seeder.seed(scene.request())
    assert scene.mutations() == 0

    def skipped(*_: object, **__: object) -> None:
        """Look at nothing."""

    monkeypatch.setattr(seeding, "require_readable", skipped)
    monkeypatch.setattr(seeding, "require_writable", skipped)
    with pytest.raises(HyopsError) as failure:
        seeder.seed(scene.request())
    assert not isinstance(failure.value, SmokeFailed), failure.value


def test_what_a_reader_needs_is_enough_to_find_audit_and_look_ahead(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    scene.stand_in.access.privileges = {"/": frozenset(roles()[READER])}
    refused = forbidden(scene)

    facts = scene.seeder().audit(9200)
    assert facts.problems(scene.record) == []
    assert scene.seeder().find(scene.record) == facts
    assert scene.seeder().outlook(scene.record, seeding.TemplateOptions()).adopt == facts
    # Asked by the volume's id, the node says that the token may not look: that is no answer about the volume.
    assert {exchange.path.split("/")[-2] for exchange in refused} <= {"content"}
