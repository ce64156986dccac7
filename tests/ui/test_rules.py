"""Which requests reach Dagster: whom they reach, who asks, and what is asked."""

from typing import Any

import pytest

from hyops_assets.ui.rules import Rules, UiRequest

PORT = 3000
OURS = "127.0.0.1:3000"
JSON = ("content-type", "application/json")
RULES = Rules(PORT, "hyops_ui_3000", lambda value: value == "right")
READ_ONLY = Rules(PORT, "hyops_ui_3000", lambda value: value == "right", read_only=True)


def asked(
    *headers: tuple[str, str],
    method: str = "GET",
    path: str = "/runs",
    query: str = "",
    host: str = OURS,
    cookie: str = "hyops_ui_3000=right",
    kind: Any = "http",
) -> UiRequest:
    own = [("host", host), *([("cookie", cookie)] if cookie else [])]
    return UiRequest(kind, method, path, query, [*own, *headers])


def status(request: UiRequest, rules: Rules = RULES) -> int:
    refused = rules.refusal(request)
    return 200 if refused is None else int(refused.status)


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(host="localhost:3000"),
        asked(cookie="a=b; hyops_ui_3000=right; c=d"),
        asked(("sec-fetch-site", "same-origin")),
        asked(("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")),
        asked(JSON, ("origin", f"http://{OURS}"), method="POST", path="/graphql"),
        asked(("content-type", "application/json; charset=UTF-8"), method="POST", path="/graphql"),
        asked(JSON, method="POST", path="/graphql", query="op=CodeLocationStatusQuery"),
        asked(("origin", f"http://{OURS}"), path="/graphql", kind="websocket"),
        asked(JSON, method="POST", path="/report_asset_materialization/x"),
    ],
)
def test_what_the_real_page_and_a_client_with_the_cookie_ask_goes_on(request_: UiRequest) -> None:
    assert status(request_) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "127.0.0.1",
        "127.0.0.1:3001",
        "localhost.evil.example:3000",
        "0.0.0.0:3000",
        "",
    ],
)
def test_another_host_is_not_served(host: str) -> None:
    assert status(asked(host=host)) == 421


def test_two_hosts_or_none_are_not_served() -> None:
    assert status(asked(("host", OURS))) == 421
    assert status(UiRequest("http", "GET", "/", "", [("cookie", "hyops_ui_3000=right")])) == 421


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:3000",
        "http://127.0.0.1:3001",
        "http://localhost",
        "",
        "file://",
    ],
)
def test_a_page_of_another_origin_is_refused_whatever_it_asks(origin: str) -> None:
    for request in (
        asked(("origin", origin)),
        asked(("origin", origin), JSON, method="POST", path="/graphql"),
        asked(("origin", origin), path="/graphql", kind="websocket"),
    ):
        assert status(request) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_what_a_browser_says_comes_from_elsewhere_is_refused(site: str) -> None:
    assert status(asked(("sec-fetch-site", site), ("sec-fetch-mode", "no-cors"))) == 403
    framed = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
    assert status(asked(*framed)) == 403
    assert status(asked(*framed, path="/enter")) == 403


@pytest.mark.parametrize("cookie", ["", "hyops_ui_3000=wrong", "hyops_ui_3001=right", "hyops_ui_3000", "right"])
def test_without_the_cookie_nothing_is_served(cookie: str) -> None:
    for request in (
        asked(cookie=cookie),
        asked(JSON, method="POST", path="/graphql", cookie=cookie),
        asked(path="/graphql", kind="websocket", cookie=cookie),
    ):
        assert status(request) == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
def test_graphql_is_taken_by_post_only(method: str) -> None:
    assert status(asked(method=method, path="/graphql", query="query=mutation{x}")) == 405


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        # Dagster looks for the words anywhere in the header; a browser sends this one without asking first.
        "text/plain; application/json",
        "text/plain;application/json",
        "application/json, text/plain",
        "application/json; x=text/plain",
        "",
    ],
)
def test_graphql_is_taken_as_json_only(kind: str) -> None:
    assert status(asked(("content-type", kind), method="POST", path="/graphql")) == 415
    assert status(asked(JSON, ("content-type", kind), method="POST", path="/graphql")) == 415


@pytest.mark.parametrize("query", ["query=mutation{x}", "op=a&query=mutation{x}", "op=a%26query=x", "op=a;query=x"])
def test_a_query_beside_the_body_is_refused(query: str) -> None:
    assert status(asked(JSON, method="POST", path="/graphql", query=query)) == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_no_other_method_reaches_dagster(method: str) -> None:
    assert status(asked(method=method)) == 405


def test_no_other_websocket_is_served() -> None:
    assert status(asked(path="/logs/x", kind="websocket")) == 404


def test_read_only_takes_graphql_alone() -> None:
    assert status(asked(JSON, method="POST", path="/graphql"), READ_ONLY) == 200
    for path in ("/report_asset_materialization/x", "/report_asset_check/x", "/report_asset_observation/x"):
        assert status(asked(JSON, method="POST", path=path), READ_ONLY) == 405


def test_the_entrance_needs_no_cookie_and_takes_links_from_anywhere_but_no_other_request() -> None:
    def opened(site: str) -> UiRequest:
        sent = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
        return asked(*sent, path="/enter", cookie="")

    assert [status(opened(site)) for site in ("none", "cross-site", "same-site", "same-origin")] == [200] * 4
    assert status(asked(path="/enter", cookie="")) == 200
    assert status(asked(path="/enter", cookie="", host="evil.example")) == 421
    assert status(asked(JSON, path="/enter", cookie="", method="POST")) == 405
