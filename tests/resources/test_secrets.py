import pytest
import requests
from hcloud import Client

from hyops_assets.settings.notify import NotifySettings
from hyops_assets.settings.pipeline import Settings
from resources.notify import Notifier, NotReported
from resources.public_http import anonymous_client
from resources.repository.gcs_key import BadKey, service_account_key
from resources.secrets import MissingSecret, UnusableSecret, named_in, redactor, require_proxies, secret
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import BadToken

FIRST, SECOND = "FIRSTab12cd34ef56", "SECONDgh78ij90kl12"


def test_a_secret_is_read_by_name() -> None:
    assert secret("TOKEN", {"TOKEN": " value\n"}) == "value"


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}, {"TOKEN": " \n"}])
def test_an_unset_secret_is_an_error_that_names_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(MissingSecret, match="TOKEN is unset or empty"):
        secret("TOKEN", {**environ, "OTHER": "hidden"})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"{FIRST}\n{SECOND}\n", "has a line break after its first line: the value has two lines"),
        (f"{FIRST}\r\n{SECOND}\r\n\r\nx", "has a line break after its first line: the value has 4 lines"),
        (f"{FIRST}\r{SECOND}", "has a line break after its first line: the value has two lines"),
        (f"{FIRST}\u20ac{SECOND}", "has a character outside ASCII: character 18 of 36"),
        (f"{FIRST}\udcff{SECOND}", "has a character outside ASCII: character 18 of 36"),
        (f"{FIRST}\u2028{SECOND}", "has a character outside ASCII: character 18 of 36"),
        (f"{FIRST} {SECOND}", "has white space inside: character 18 of 36"),
        (f"{FIRST}\x00{SECOND}", "has a control character: character 18 of 36"),
        (f"{FIRST}\x7f{SECOND}", "has a control character: character 18 of 36"),
    ],
)
def test_a_secret_that_no_header_takes_is_refused_by_the_variables_name_without_a_character_of_it(
    value: str, why: str
) -> None:
    with pytest.raises(UnusableSecret, match="the environment variable TOKEN") as raised:
        secret("TOKEN", {"TOKEN": value})
    said = f"{raised.value}\n{raised.getrepr(style='native')}"
    assert why in said
    assert FIRST not in said
    assert SECOND not in said


@pytest.mark.parametrize("token", [f"{FIRST}\n{SECOND}", f"{FIRST}\u20ac"])
def test_the_hetzner_client_takes_no_token_that_the_library_would_quote(token: str) -> None:
    # What the library does with it is why: should it learn better, this client's own look can go.
    with pytest.raises((requests.exceptions.InvalidHeader, UnicodeEncodeError)):
        Client(token, api_endpoint="http://127.0.0.1:9", timeout=1).servers.get_all()
    with pytest.raises(BadToken) as raised:
        HetznerClient("http://127.0.0.1:9", token)
    assert FIRST not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:FIRST/SECOND@proxy.example:3128",
        "http://user:FIRST#SECOND@proxy.example:3128",
        "http://user:12/SECOND@proxy.example:3128",
        "http://user:FIRST@SECOND@proxy.example:3128",
        "http://user:FIRST@proxy.example:port",
        "http://user:FIRST SECOND@proxy.example:3128",
        "http://user:FIRST\nSECOND@proxy.example:3128",
        "http://user:FIRST\u20ac@proxy.example:3128",
        "gopher://user:FIRST@proxy.example:3128",
        "user:FIRST@",
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxys_url_that_libraries_take_apart_elsewhere_is_refused_without_its_password(name: str, url: str) -> None:
    with pytest.raises(UnusableSecret, match=f"the environment variable {name} ") as raised:
        require_proxies({name: url})
    for part in ("FIRST", "SECOND", "12/"):
        assert part not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("http://proxy.example:3128", "proxy.example:3128", "https://user:p%2Fw@proxy.example", "http://[::1]:3128/"),
        *("socks5://user:pw@127.0.0.1:1080", "", "  "),
    ],
)
def test_a_proxys_url_is_taken_as_libraries_take_it(url: str) -> None:
    require_proxies({"HTTPS_PROXY": url})


def test_no_anonymous_request_is_made_through_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:FIRST/SECOND@proxy.example:3128")
    with pytest.raises(UnusableSecret, match="HTTPS_PROXY"):
        anonymous_client()


def test_a_key_in_the_variable_that_names_its_file_is_not_quoted() -> None:
    with pytest.raises(BadKey, match="holds no path of a file") as raised:
        service_account_key({"HYOPS_VYOS_GCS_SA_JSON_FILE": f'{{"private_key": "{FIRST}"}}'})
    assert FIRST not in str(raised.value)


def test_a_webhooks_url_with_a_second_line_is_refused_without_a_character_of_it() -> None:
    notifier = Notifier(NotifySettings(webhook_env="HOOK"), {"HOOK": f"https://h.example/{FIRST}\n{SECOND}"})
    with pytest.raises(NotReported, match="HOOK has a line break after its first line") as raised:
        notifier.report({"event": "x"})
    assert FIRST not in f"{raised.value}{raised.getrepr(style='native')}"


def test_what_settings_name_and_what_was_read_is_blacked_out_of_all_that_this_process_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings.model_validate(
        {
            "notify": {"webhook_env": "HOOK_URL"},
            "sites": {"hetzner": {"a": {"token_env": "AAA"}}},
            "build": {"command": {"build_command": "true", "build_workdir": "/", "environment": ["BBB"]}},
        }
    )
    assert sorted(named_in(settings)) == ["AAA", "BBB", "HOOK_URL"]
    monkeypatch.setenv("CCC_4711", FIRST)
    secret("CCC_4711")
    assert FIRST not in redactor().text(f"x {FIRST} y")


def test_a_lab_s_variable_is_set_by_the_lab_and_the_hint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYOPS_LAB_HCLOUD_TOKEN", raising=False)
    with pytest.raises(MissingSecret) as missing:
        secret("HYOPS_LAB_HCLOUD_TOKEN")
    assert "hyops lab up" in missing.value.hint
