"""Every route of Dagster's own application behind the guard: what is refused never reaches it."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from hyops_assets.dagster_gaps import dagster_application
from hyops_assets.ui.guard import Guard, Message, Receive, Send
from hyops_assets.ui.links import Entrance, link, new_key
from hyops_assets.ui.rules import Rules

HOST = "127.0.0.1:3000"
ADDRESS = f"http://{HOST}"
COOKIE = "hyops_ui_3000"
FOREIGN = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
SENDING = [("GET", None), ("HEAD", None), ("POST", "application/json"), ("POST", "text/plain"), ("PUT", None)]


class Recorder:
    """Dagster's application, and the paths that reached it."""

    def __init__(self, application) -> None:
        self.application = application
        self.reached: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.reached.append(scope["path"])
        await self.application(scope, receive, send)


class Client:
    """A browser's part: it keeps cookies, and sends the headers that it is given."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._cookies: dict[str, str] = {}

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._guard, raise_app_exceptions=False)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await client.request(method, path, headers=self._with_cookies(headers or {}), **body)

        answer = asyncio.run(send())
        self._cookies.update(answer.cookies)
        return answer

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, *, headers: Mapping[str, str] | None = None, json: Any) -> httpx.Response:
        return self.request("POST", path, headers=headers, json=json)

    def websocket(self, path: str, *, headers: Mapping[str, str] | None = None) -> list[Message]:
        """Ask for a websocket and greet; return what the server sent until it has nothing more to say."""
        wanted = {"host": HOST, **{name.lower(): value for name, value in self._with_cookies(headers or {}).items()}}
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in wanted.items()],
            "subprotocols": ["graphql-ws"],
        }
        coming = iter(
            [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": '{"type": "connection_init"}'},
                {"type": "websocket.disconnect", "code": 1000},
            ]
        )
        sent: list[Message] = []

        async def receive() -> Message:
            return next(coming)

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self._guard(scope, receive, send))  # type: ignore[arg-type]
        return sent

    def _with_cookies(self, headers: Mapping[str, str]) -> dict[str, str]:
        held = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {**headers, **({"cookie": held} if held else {})}


class Served:
    """A guarded application without a network: a client per test, and the paths that reached Dagster."""

    def __init__(self, recorder: Recorder, *, read_only: bool = False) -> None:
        self.key = new_key()
        self.recorder = recorder
        entrance = Entrance(self.key)
        self.guard = Guard(recorder, Rules(3000, COOKIE, entrance.knows, read_only=read_only), entrance)

    def client(self) -> Client:
        return Client(self.guard)

    def entered(self) -> Client:
        client = self.client()
        assert client.get(link(ADDRESS, self.key).removeprefix(ADDRESS)).status_code == 303
        return client


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    directory = tmp_path_factory.mktemp("dagster")
    workspace = directory / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with (
        dg.DagsterInstance.local_temp(str(directory)) as instance,
        dagster_application(instance, workspace, read_only=False) as application,
    ):
        yield Recorder(application)


@pytest.fixture
def served(recorder: Recorder) -> Served:
    recorder.reached.clear()
    return Served(recorder)


def paths(routes: list[BaseRoute]) -> list[str]:
    """Every path that Dagster routes, with something in place of its parameters."""
    found: list[str] = []
    for route in routes:
        if isinstance(route, Mount):
            found.append(f"{route.path}/x.js")
        elif isinstance(route, Route | WebSocketRoute):
            found.append(route.path_format.format_map(dict.fromkeys(route.param_convertors, "x")))
    assert {"/graphql", "/server_info", "/report_asset_materialization/x", "/report_asset_check/x"} <= set(found)
    assert {"/report_asset_observation/x", "/logs/x", "/download_debug/x", "/notebook"} <= set(found)
    return sorted(set(found))


@pytest.mark.parametrize(
    ("who", "headers", "entered"),
    [
        ("a local user without the cookie", {}, False),
        ("a page of another origin, without the cookie", FOREIGN, False),
        ("a page of another origin, with the cookie", FOREIGN, True),
        ("a name rebound to loopback", {"Host": "evil.example:3000"}, True),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_no_route_of_dagster_answers(served: Served, who: str, headers: dict[str, str], entered: bool) -> None:
    client = served.entered() if entered else served.client()
    for path in paths(served.recorder.application.routes):
        for method, kind in SENDING:
            sent = headers | ({"Content-Type": kind} if kind else {})
            answer = client.request(method, path, headers=sent, content=b"{}" if kind else None)
            assert answer.status_code in (401, 403, 421), (who, method, path)
        assert client.websocket(path, headers=headers) == [{"type": "websocket.close", "code": 1008}]
    assert served.recorder.reached == []


ELSEWHERE = [
    *(
        {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        for origin in (
            "http://evil.example",
            "https://127.0.0.1:3000",
            "http://127.0.0.1:3001",
            "http://127.0.0.1",
            "http://localhost",
            "http://localhost:3000.evil.example",
            "http://127.0.0.1:3000@evil.example",
            "null",
            "",
        )
    ),
    *(
        {"Host": host}
        for host in (
            "evil.example:3000",
            "127.0.0.1.nip.example:3000",
            "localhost.:3000",
            "127.0.0.1:03000",
            "127.1:3000",
            "[::1]:3000",
            "0.0.0.0:3000",
        )
    ),
]
"""Sixteen: nine origins of pages, seven names that lead to this port."""


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda headers: "-".join(map(str, headers.items())))
def test_of_sixteen_foreign_origins_and_hosts_none_is_served_though_it_has_the_cookie(
    served: Served, elsewhere: dict[str, str]
) -> None:
    """Each with all that a page may send: reading, posting as JSON or as a form, GraphQL in a URL, a websocket."""
    client = served.entered()
    mutation = "/graphql?query=mutation{wipeAssets(assetPartitionRanges:[]){__typename}}"
    for path in ("/", "/graphql", mutation, "/report_asset_materialization/x", "/download_debug/x", "/server_info"):
        for method, kind in SENDING:
            sent = elsewhere | ({"Content-Type": kind} if kind else {})
            answer = client.request(method, path, headers=sent, content=b'{"query": "{version}"}' if kind else None)
            assert answer.status_code in (403, 421), (method, path)
            assert "access-control-allow-origin" not in answer.headers
    # A link of one use is not redeemed there either.
    assert client.get(link(ADDRESS, served.key).removeprefix(ADDRESS), headers=elsewhere).status_code in (403, 421)
    assert client.websocket("/graphql", headers=elsewhere) == [{"type": "websocket.close", "code": 1008}]
    assert served.recorder.reached == []


def test_the_real_page_reaches_every_route_that_reads(served: Served) -> None:
    client = served.entered()
    reading = [path for path in paths(served.recorder.application.routes) if path != "/graphql"]
    for path in reading:
        client.get(path, headers={"Sec-Fetch-Site": "same-origin"})
    assert served.recorder.reached == reading
    query = {"query": "{version}"}
    answer = client.post("/graphql", json=query, headers={"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"})
    assert answer.json()["data"]["version"] == dg.__version__
    accepted, greeted = client.websocket("/graphql", headers={"Origin": ADDRESS})
    assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "graphql-ws")
    assert "connection_ack" in greeted["text"]


def test_a_link_sets_a_strict_cookie_that_no_script_reads_and_leads_to_a_url_without_a_code(served: Served) -> None:
    answer = served.client().get(link(ADDRESS, served.key).removeprefix(ADDRESS))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Domain" not in cookie
    assert answer.headers["cache-control"] == "no-store"


def test_a_link_that_is_opened_from_another_page_goes_on_by_a_page_of_ours(served: Served) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = served.client().get(link(ADDRESS, served.key).removeprefix(ADDRESS), headers=headers)
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "code" not in answer.text


def test_a_used_link_says_how_to_get_another(served: Served) -> None:
    place = link(ADDRESS, served.key).removeprefix(ADDRESS)
    served.client().get(place)
    again = served.client().get(place)
    assert (again.status_code, "hyops open" in again.text) == (401, True)
    assert "set-cookie" not in again.headers


def test_nothing_is_framed_or_embedded_refusals_included(served: Served) -> None:
    for answer in (served.entered().get("/"), served.client().get("/")):
        assert answer.headers["x-frame-options"] == "DENY"
        policies = ", ".join(answer.headers.get_list("content-security-policy"))
        assert "frame-ancestors 'none'" in policies
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_read_only_refuses_every_report_and_every_mutation(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dagster_application(instance, workspace, read_only=True) as application,
    ):
        recorder = Recorder(application)
        client = Served(recorder, read_only=True).entered()
        recorder.reached.clear()
        assert client.post("/report_asset_materialization/x", json={"partition": "p"}).status_code == 405
        assert recorder.reached == []
        mutation = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["x"]}}]) { __typename } }'
        answer = client.post("/graphql", json={"query": mutation})
        assert answer.json()["data"]["wipeAssets"]["__typename"] == "UnauthorizedError"
        assert client.post("/graphql", json={"query": "{version}"}).status_code == 200
