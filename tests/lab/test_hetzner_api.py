import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hyops_lab.faults import Answer, FaultTable, Rule
from hyops_lab.hetzner import HetznerStandIn
from hyops_lab.hetzner.labels import BadLabels, parse_selector
from hyops_lab.hetzner.limits import RateLimit
from hyops_lab.running import running
from hyops_lab.trace import Trace
from tests.specs import HETZNER, NOWHERE, require_specification

TOKEN = "secret"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}"


class Caller:
    """Raw HTTP, so that every answer is seen as it is."""

    def __init__(self, standin: HetznerStandIn) -> None:
        self.standin = standin

    def call(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.request(method, self.standin.url + path, json=body, headers=headers, timeout=10)
        return answer.status_code, answer.json() if answer.content else None

    def error(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> tuple[int, str]:
        status, answer = self.call(method, path, body, token=token)
        return status, answer["error"]["code"]

    def create_server(self, name: str = "one", **more: Any) -> dict[str, Any]:
        body = {"name": name, "server_type": "cx23", "image": "debian-12", "start_after_create": False, **more}
        status, answer = self.call("POST", "/servers", body)
        assert status == 201, answer
        return answer["server"]

    def wait(self, server_id: int, status: str) -> dict[str, Any]:
        for _ in range(1000):
            code, answer = self.call("GET", f"/servers/{server_id}")
            if code == 404 or (answer["server"]["status"] == status and not answer["server"]["locked"]):
                return answer
            time.sleep(0.005)
        pytest.fail(f"server {server_id} never became {status}")

    def snapshot(self, server_id: int, **more: Any) -> dict[str, Any]:
        status, answer = self.call("POST", f"/servers/{server_id}/actions/create_image", {"type": "snapshot", **more})
        assert status == 201, answer
        self.wait(server_id, "off")
        return answer["image"]


def standin(directory: Path, **options: Any) -> HetznerStandIn:
    """A project; what it is asked and answers is held against the schema as everywhere (tests/conftest.py)."""
    require_specification(HETZNER)
    return HetznerStandIn(directory / "hetzner", Trace(directory / "trace"), token=TOKEN, **options)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Caller]:
    served = standin(tmp_path, snapshot_limit=2)
    with running(served):
        yield Caller(served)


def test_tokens_are_checked_as_the_live_api_does(api: Caller) -> None:
    assert api.call("GET", "/servers")[0] == 200
    assert api.error("GET", "/servers", token="") == (401, "unauthorized")
    assert api.error("GET", "/servers", token="wrong") == (401, "unauthorized")
    assert api.error("GET", NOWHERE, token="") == (404, "not_found")


def test_a_server_goes_from_initializing_to_off_to_running_to_gone(api: Caller) -> None:
    server = api.create_server()
    assert server["status"] == "initializing"
    assert server["locked"]
    api.wait(server["id"], "off")

    assert api.call("POST", f"/servers/{server['id']}/actions/poweron")[0] == 201
    api.wait(server["id"], "running")
    assert api.call("POST", f"/servers/{server['id']}/actions/shutdown")[0] == 201
    api.wait(server["id"], "off")
    assert api.call("DELETE", f"/servers/{server['id']}")[0] == 200
    api.wait(server["id"], "gone")
    assert api.call("GET", f"/servers/{server['id']}")[0] == 404


def test_the_first_boot_uses_the_rescue_system_up(api: Caller) -> None:
    server = api.wait(api.create_server()["id"], "off")["server"]
    api.call("POST", f"/servers/{server['id']}/actions/enable_rescue", {"type": "linux64"})
    assert api.wait(server["id"], "off")["server"]["rescue_enabled"]

    api.call("POST", f"/servers/{server['id']}/actions/poweron")

    assert not api.wait(server["id"], "running")["server"]["rescue_enabled"]
    assert api.standin.project.contents.servers[server["id"]].boot == "rescue"


def test_names_are_unique(api: Caller) -> None:
    api.create_server("one")
    body = {"name": "one", "server_type": "cx23", "image": "debian-12"}
    assert api.error("POST", "/servers", body) == (409, "uniqueness_error")

    key = {"name": "k", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJh"}
    assert api.call("POST", "/ssh_keys", key)[0] == 201
    assert api.error("POST", "/ssh_keys", {**key, "public_key": "ssh-ed25519 AAAA"}) == (409, "uniqueness_error")
    assert api.error("POST", "/ssh_keys", {**key, "name": "other"}) == (409, "uniqueness_error")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"server_type": "cx22"}, 412, "resource_unavailable"),
        ({"server_type": "cx999"}, 422, "invalid_server_type"),
        ({"server_type": "cax11"}, 422, "invalid_input"),
        ({"image": "windows"}, 422, "invalid_input"),
        ({"name": "not a host"}, 422, "invalid_input"),
        ({"labels": {"digest": "a" * 64}}, 422, "invalid_input"),
        ({"labels": {"url": "https://x"}}, 422, "invalid_input"),
        ({"labels": {"hetzner.cloud/x": "y"}}, 422, "invalid_input"),
        ({"ssh_keys": ["absent"]}, 404, "not_found"),
    ],
)
def test_a_server_that_cannot_be_is_refused(api: Caller, body: dict[str, Any], status: int, code: str) -> None:
    whole = {"name": "one", "server_type": "cx23", "image": "debian-12", **body}

    assert api.error("POST", "/servers", whole) == (status, code)
    assert api.standin.project.contents.servers == {}


def test_a_snapshot_holds_the_disk_and_can_be_protected(api: Caller) -> None:
    server = api.wait(api.create_server()["id"], "off")["server"]
    disk = api.standin.project.server_disk(server["id"])
    with disk.open("r+b") as file:
        file.write(b"marked")

    image = api.snapshot(server["id"], description="one", labels={"a": "b"})

    assert image["status"] == "creating"
    assert image["image_size"] is None
    shown = api.call("GET", f"/images/{image['id']}")[1]["image"]
    assert (shown["status"], shown["created_from"]["id"]) == ("available", server["id"])
    copy = api.standin.image_disk(image["id"])
    assert copy.stat().st_size == disk.stat().st_size == 40_000_000_000
    with copy.open("rb") as file:
        assert file.read(6) == b"marked"

    protect = f"/images/{image['id']}/actions/change_protection"
    assert api.call("POST", protect, {"delete": True})[0] == 201
    assert api.error("DELETE", f"/images/{image['id']}") == (423, "protected")
    assert api.error("PUT", f"/images/{image['id']}", {"labels": {}}) == (423, "protected")
    assert api.call("POST", protect, {"delete": False})[0] == 201
    assert api.call("DELETE", f"/images/{image['id']}")[0] in (204, 423)


def test_labels_are_replaced_as_a_whole(api: Caller) -> None:
    server = api.wait(api.create_server()["id"], "off")["server"]
    image = api.snapshot(server["id"], labels={"a": "1", "b": "2"})

    updated = api.call("PUT", f"/images/{image['id']}", {"labels": {"b": "3"}})[1]["image"]

    assert updated["labels"] == {"b": "3"}


def test_the_snapshot_limit_holds(api: Caller) -> None:
    server = api.wait(api.create_server()["id"], "off")["server"]
    api.snapshot(server["id"])
    api.snapshot(server["id"])

    assert api.error("POST", f"/servers/{server['id']}/actions/create_image", {}) == (403, "resource_limit_exceeded")


def test_a_server_is_locked_while_an_action_runs(tmp_path: Path) -> None:
    served = standin(tmp_path, delays={"create_server": 0.3})
    with running(served):
        api = Caller(served)
        server = api.create_server()

        assert api.error("POST", f"/servers/{server['id']}/actions/poweron") == (423, "locked")
        assert api.error("DELETE", f"/servers/{server['id']}") == (423, "locked")
        api.wait(server["id"], "off")
        assert api.call("POST", f"/servers/{server['id']}/actions/poweron")[0] == 201


def test_a_list_comes_in_pages_of_fifty_at_most(api: Caller) -> None:
    (image,) = [image for image in api.standin.project.contents.images.values() if image.name == "debian-12"]
    for number in range(120):
        copy = image.model_copy(update={"id": number + 1, "kind": "snapshot", "name": None})
        api.standin.project.contents.images[copy.id] = copy

    sizes, page, seen = [], 1, set()
    while page:
        _, answer = api.call("GET", f"/images?type=snapshot&per_page=100&page={page}")
        sizes.append(len(answer["images"]))
        seen |= {each["id"] for each in answer["images"]}
        page = answer["meta"]["pagination"]["next_page"]

    assert sizes == [50, 50, 20]
    assert len(seen) == 120
    assert len(api.call("GET", "/images?type=snapshot")[1]["images"]) == 25


def test_the_librarys_broken_status_filter_is_refused(api: Caller) -> None:
    assert api.call("GET", "/images?status=available")[0] == 200
    assert api.error("GET", "/images?status=50") == (422, "invalid_input")


def test_a_restart_goes_on_where_the_stand_in_stopped(tmp_path: Path) -> None:
    first = standin(tmp_path, delays={"create_image": 30.0})
    with running(first):
        api = Caller(first)
        server = api.wait(api.create_server()["id"], "off")["server"]
        _, answer = api.call("POST", f"/servers/{server['id']}/actions/create_image", {"type": "snapshot"})

    second = standin(tmp_path)
    with running(second):
        api = Caller(second)
        api.wait(server["id"], "off")
        assert api.call("GET", f"/images/{answer['image']['id']}")[1]["image"]["status"] == "available"
        assert api.call("GET", f"/actions/{answer['action']['id']}")[1]["action"]["status"] == "success"


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    first = standin(tmp_path / "one")
    with running(first):
        second = standin(tmp_path / "two", port=first.port)
        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(second.start())


def test_a_fault_hits_the_call_it_names_and_no_other(api: Caller) -> None:
    api.standin.faults.add(Rule("GET", r"/servers/\d+", Answer(503, "unavailable"), frozenset({2})))
    server = api.create_server()

    answers = [api.call("GET", f"/servers/{server['id']}")[0] for _ in range(3)]

    assert answers == [200, 503, 200]
    assert FaultTable().due("GET", "/servers") is None


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("a=1", True),
        ("a==1", True),
        ("a=2", False),
        ("a!=2,b", True),
        ("!b", False),
        ("!c", True),
        ("a in (1,2)", True),
        ("a notin (1,2)", False),
        ("a in (1,2),b=x", True),
    ],
)
def test_selectors_choose_by_all_their_terms(selector: str, chosen: bool) -> None:
    assert parse_selector(selector)({"a": "1", "b": "x"}) is chosen


def test_a_selector_that_is_none_is_refused() -> None:
    with pytest.raises(BadLabels):
        parse_selector("a=(")


def test_every_answer_says_how_many_requests_are_left_and_the_last_is_refused(tmp_path: Path) -> None:
    served = standin(tmp_path, rate=RateLimit(limit=2, per_second=0.001))
    with running(served):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answers = [requests.get(f"{served.url}/servers", headers=headers, timeout=10) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answers[2].headers["RateLimit-Reset"]) > time.time() + 1000


def test_a_token_that_may_only_read_changes_nothing(tmp_path: Path) -> None:
    served = standin(tmp_path, read_only_token="reader")
    with running(served):
        api = Caller(served)
        assert api.call("GET", "/servers", token="reader")[0] == 200
        assert api.error("POST", "/servers", {"name": "x"}, token="reader") == (401, "token_readonly")


def test_servers_have_the_addresses_that_were_asked_for_and_a_quota(tmp_path: Path) -> None:
    served = standin(tmp_path, server_limit=2)
    with running(served):
        api = Caller(served)
        both = api.create_server("both")["public_net"]
        alone = api.create_server("alone", public_net={"enable_ipv4": False, "enable_ipv6": True})["public_net"]
        body = {"name": "third", "server_type": "cx23", "image": "debian-12"}
        assert api.error("POST", "/servers", body) == (403, "resource_limit_exceeded")

    assert both["ipv4"]["ip"].startswith("127.0.0.")
    assert both["ipv6"]["ip"].endswith("::/64")
    assert alone["ipv4"] is None
