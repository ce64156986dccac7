import base64
import html
import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.contract.redaction import REDACTED, SHORTEST_SECRET, Redactor, is_secret_name

PRIVATE = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"
)
KEY = json.dumps({"type": "service_account", "private_key_id": "0123456789abcdef", "private_key": PRIVATE})
secrets = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=SHORTEST_SECRET
).filter(lambda text: len(text.strip()) >= SHORTEST_SECRET and text not in REDACTED)


@pytest.mark.parametrize(
    "name",
    [
        *("HCLOUD_TOKEN", "PROXMOX_TOKEN", "HYOPS_VYOS_GCS_SA_JSON", "password", "client_secret", "api_key"),
        *("AWS_SECRET_ACCESS_KEY", "private_key", "db_passphrase", "account_key", "access_key"),
    ],
)
def test_names_that_hold_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["token_env", "HYOPS_VYOS_GCS_SA_JSON_FILE", "token_id", "record_key", "public_key", "keys", "password_file"],
)
def test_names_that_point_at_secrets_hold_none(name: str) -> None:
    assert not is_secret_name(name)


@settings(deadline=None)
@given(secret=secrets, before=st.text(max_size=20), after=st.text(max_size=20))
def test_the_value_of_a_secret_variable_never_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor({"SOME_TOKEN": secret})
    text = f"{before}{secret}{after}"
    assert secret not in redactor.text(text).replace(REDACTED, "\0")
    document = redactor.document({"notes": [text, {"deep": text}], text: 1})
    assert secret not in "\0".join(
        [*document, *map(str, document["notes"][:1]), document["notes"][1]["deep"]]
    ).replace(REDACTED, "\0")


def test_a_variable_that_settings_name_is_a_secret_whatever_its_name() -> None:
    assert Redactor({"PVE": "0f2c1f1e-1111"}, ["PVE"]).text("header 0f2c1f1e-1111") == f"header {REDACTED}"


WRITERS: dict[str, Callable[[str], str]] = {
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "ASCII": ascii,
    "bytes": lambda text: repr(text.encode()),
    "a URL": quote,
    "a form": quote_plus,
    "a URL in small letters": lambda text: re.sub("%..", lambda at: at[0].lower(), quote(text, safe="")),
    "a page": html.escape,
    "a shell": shlex.quote,
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind a user": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 among other text": lambda text: base64.b64encode(f"ab{text} and more".encode()).decode(),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(f"u:{text}".encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_secret_is_found_however_it_is_written(writer: str) -> None:
    for secret in ('S3cr3t/+=&<>"\\% x#\u00e9-0123456789', "it's/secret=>>>???~~~0123"):
        written = WRITERS[writer](secret)
        assert REDACTED in Redactor({"DB_PASSWORD": secret}).text(f"before {written} after"), written


def test_every_part_of_a_service_accounts_key_is_known() -> None:
    redactor = Redactor({"HYOPS_VYOS_GCS_SA_JSON": KEY})
    for part in (KEY, PRIVATE, json.dumps(PRIVATE), "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "0123456789abcdef"):
        assert "MIIEvQ" not in redactor.text(f"x {part} y")
        assert "0123456789abcdef" not in redactor.text(f"x {part} y")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3tvalue",
        '{"Authorization": "Bearer s3cr3tvalue"}',
        "authorization: PVEAPIToken=hyops@pve!lab=s3cr3tvalue",
        "access_token=s3cr3tvalue&x=1",
        'client_secret: "s3cr3tvalue"',
        "password='s3cr3tvalue'",
        "export HCLOUD_TOKEN=s3cr3tvalue",
        "AWS_SESSION_TOKEN=s3cr3tvalue",
        "https://user:s3cr3tvalue@host/x",
        "https://host/x?X-Goog-Signature=s3cr3tvalue",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3tvalue\n-----END RSA PRIVATE KEY-----",
        '"private_key": "-----BEGIN PRIVATE KEY-----\\ns3cr3tvalue',
        "sa_json: s3cr3tvalue",
    ],
)
def test_what_is_written_like_a_secret_goes_although_nobody_named_it(text: str) -> None:
    redacted = Redactor({}).text(f"before {text}")
    assert "s3cr3tvalue" not in redacted
    assert redacted.startswith("before ")
    assert REDACTED in redacted


@pytest.mark.parametrize(
    "text",
    [
        "missing required env vars: HCLOUD_TOKEN; export it where hyops runs",
        "module=core/shared/vyos-image-build status=ok run_id=apply-20261123T045029Z-ac8e191e",
        "token_env: HCLOUD_TOKEN",
        "export HCLOUD_TOKEN=…",
        "https://storage.googleapis.com/b/network/vyos/vyos-1.5-2026.03.03-0027-rolling.qcow2",
        "signing_key: 2026 (RWQ…)",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert Redactor({"HCLOUD_TOKEN": "x" * 64}).text(text) == text


def test_a_secret_names_key_hides_its_value_and_a_short_value_hides_nothing_else() -> None:
    redactor = Redactor({"SHORT_TOKEN": "vyos"})
    assert redactor.document({"password": "x", "passwords_env": "vyos", "token": None, "n": 1}) == {
        "password": REDACTED,
        "passwords_env": "vyos",
        "token": None,
        "n": 1,
    }


def test_the_variable_whose_secret_stands_in_a_text_is_named_and_no_value_shows() -> None:
    redactor = Redactor({"A_TOKEN": "abcdefgh1234"})
    assert redactor.source_of("x abcdefgh1234") == "A_TOKEN"
    assert redactor.source_of("x") is None
    assert "abcdefgh" not in repr(redactor)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u20ac", "'\"", "\\"])
def test_a_secret_is_found_as_repr_json_urls_and_headers_write_it(end: str) -> None:
    value = f"s3cr3tvalue{end}0therline"
    redactor = Redactor({"SOME_TOKEN": value})
    raw = value.encode()
    for written in (repr(f"Bearer {value}"), repr(raw), json.dumps({"x": value}), quote(value), raw.decode("latin-1")):
        assert "s3cr3tvalue" not in redactor.text(f"error: {written}")
        assert "0therline" not in redactor.text(f"error: {written}")


def test_each_line_of_a_secret_of_several_lines_is_a_secret() -> None:
    redactor = Redactor({"SOME_TOKEN": "s3cr3tvalue\n0therline"})
    assert redactor.text("s3cr3tvalue and 0therline") == f"{REDACTED} and {REDACTED}"


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxys_password_is_a_secret_in_every_form(name: str) -> None:
    redactor = Redactor({name: "http://user:s3cr3t%2Fvalue@proxy.example:3128"})
    basic = base64.b64encode(b"user:s3cr3t/value").decode()
    for written in ("s3cr3t%2Fvalue", "s3cr3t/value", "user:s3cr3t/value", f"Proxy-Authorization: Basic {basic}"):
        text = redactor.text(f"no answer ({written})")
        assert "s3cr3t" not in text
        assert basic not in text
    assert redactor.text("proxy.example:3128 is away") == "proxy.example:3128 is away"


def test_a_webhooks_path_is_a_secret_where_its_host_is_left_out() -> None:
    redactor = Redactor({"HOOK_URL": "https://hooks.example/services/T0PSECRETpart4711xyz?key=1"}, ["HOOK_URL"])
    assert "T0PSECRET" not in redactor.text('"POST /services/T0PSECRETpart4711xyz?key=1 HTTP/1.1" 404')
    assert redactor.text("the services are away") == "the services are away"
