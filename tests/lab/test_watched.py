"""Every answer of a stand-in is checked against the vendor's schema: `tests/conftest.py` does it for all tests."""

from pathlib import Path

import httpx
import pytest

from hyops_lab.hetzner import HetznerStandIn
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.running import running
from hyops_lab.trace import Trace
from tests.proxmox_scene import proxmox_scene
from tests.specs import HETZNER, OpenApi, require_specification
from tests.specs_proxmox import SpecWatch

TOKEN = "secret"


def test_a_project_without_an_observer_of_its_own_is_watched(
    tmp_path: Path, watched: tuple[OpenApi, SpecWatch]
) -> None:
    require_specification(HETZNER)
    before = watched[0].checked
    standin = HetznerStandIn(tmp_path / "hetzner", Trace(tmp_path / "trace"), token=TOKEN)
    with running(standin):
        httpx.get(f"{standin.url}/servers", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    assert watched[0].checked == before + 1


def test_a_cluster_is_watched(tmp_path: Path, watched: tuple[OpenApi, SpecWatch]) -> None:
    before = watched[1].watched
    with proxmox_scene(tmp_path) as scene:
        scene.client().list_machines()
    assert watched[1].watched > before


@pytest.mark.parametrize(
    ("exchange", "why"),
    [
        (Exchange("GET", "/coffee", {}, None, 200, {}), "is not in the description"),
        (Exchange("GET", "/servers", {"colour": ["red"]}, None, 401, {}), "unknown query parameter colour"),
        (Exchange("POST", "/ssh_keys", {}, {"name": "one"}, 201, {}), "'public_key' is a required property"),
        (Exchange("GET", "/servers", {}, None, 200, {"servers": [], "extra": 1}), "'extra' was unexpected"),
        (Exchange("DELETE", "/ssh_keys/1", {}, None, 204, {"gone": True}), "a body where none is described"),
        (Exchange("GET", "/servers", {}, None, 302, None), "no answer 302 is described"),
    ],
)
def test_what_the_schema_does_not_have_is_a_problem(exchange: Exchange, why: str) -> None:
    require_specification(HETZNER)
    schema = OpenApi(HETZNER)
    schema(exchange)
    assert why in " ".join(schema.problems)


def test_where_the_schema_is_absent_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYOPS_API_SPECS", str(tmp_path))
    schema = OpenApi(HETZNER)
    schema(Exchange("GET", "/coffee", {}, None, 200, {}))
    assert (schema.watched, schema.checked, schema.problems) == (1, 0, [])
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=HETZNER):
        require_specification(HETZNER)
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=HETZNER):
        require_specification(HETZNER)
