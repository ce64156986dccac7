import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.urls import BadUrl, Url, public_url, published_name, require_contract_url
from hyops_assets.contract.version import RecordVersion

R2 = RecordVersion.parse("2026.03.03-0027-rolling-r2")
BASE = "https://storage.googleapis.com/hyops-dev-vyos-records-a1"


def test_the_documents_example_url_is_what_we_publish() -> None:
    url = public_url(BASE, published_name("vyos-1.5", R2, "qcow2"))
    assert url == f"{BASE}/network/vyos/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2"
    assert require_contract_url(url, R2) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("gs://bucket/network/vyos/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2", "gs://"),
        (f"{BASE}/network/vyos/latest/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2", "moves"),
        (f"{BASE}/network/vyos/vyos-1.5-current.qcow2", "moves"),
        (f"{BASE}/network/vyos/vyos-1.5.qcow2", "lacks the version"),
        (f"{BASE}/network/vyos/vyos-1.5-2026.03.03-0027-rolling.qcow2", "lacks the version"),  # the other revision
        (f"{BASE}/network/vyos/vyos-1.5-2026.03.03-0027-rolling-r22.qcow2", "lacks the version"),
        (f"{BASE}/x-2026.03.03-0027-rolling-r2.qcow2?X-Goog-Signature=00", "signed"),
        (f"{BASE}/x-2026.03.03-0027-rolling-r2.qcow2?generation=1", "query"),
        ("https://user:word@host/x-2026.03.03-0027-rolling-r2.qcow2", "credentials"),
        (f"{BASE}/../other/x-2026.03.03-0027-rolling-r2.qcow2", "leads upwards"),
        (f"{BASE}/%2e%2e/other/x-2026.03.03-0027-rolling-r2.qcow2", "leads upwards"),
        (f"{BASE}/x\n-2026.03.03-0027-rolling-r2.qcow2", "control character"),
        (f"{BASE}/x y-2026.03.03-0027-rolling-r2.qcow2", "a space"),
        ("https://host:99999/x-2026.03.03-0027-rolling-r2.qcow2", "written wrongly"),
        ("https://[::1/x-2026.03.03-0027-rolling-r2.qcow2", "written wrongly"),
        ("https:///x-2026.03.03-0027-rolling-r2.qcow2", "no host"),
        (f"{BASE}/{'x' * 200}-2026.03.03-0027-rolling-r2.qcow2", "name is too long"),
        ("https://169.254.169.254/x-2026.03.03-0027-rolling-r2.qcow2", "link-local"),
        ("ftp://host/x-2026.03.03-0027-rolling-r2.qcow2", "scheme"),
    ],
)
def test_a_url_that_moves_expires_or_lies_never_enters_a_contract(url: str, why: str) -> None:
    with pytest.raises(BadUrl, match=why) as refusal:
        require_contract_url(url, R2)
    assert refusal.value.hint


def test_a_gs_url_is_answered_with_its_public_form() -> None:
    with pytest.raises(BadUrl) as refusal:
        require_contract_url("gs://bucket/x-2026.03.03-0027-rolling-r2.qcow2", R2)
    assert "https://storage.googleapis.com/bucket/x-2026.03.03-0027-rolling-r2.qcow2" in refusal.value.hint


def test_names_are_percent_encoded_in_urls() -> None:
    assert public_url("https://host/", "a b/c+d~") == "https://host/a%20b/c%2Bd~"


@given(st.one_of(st.text(max_size=60), st.text("htps:/[]@?#%.-_\\ \nx0129", max_size=60).map("https://".__add__)))
def test_any_text_is_a_url_for_a_contract_or_refused_in_a_line_that_can_be_printed(text: str) -> None:
    try:
        assert require_contract_url(text, R2) == text
    except BadUrl as refusal:
        message = refusal.message
    else:
        message = ""
    assert "\n" not in message
    message.encode()


@given(st.text("abz019._~!$&'()*+,;=%-", max_size=12))
def test_a_url_that_is_let_pass_names_its_version_and_nothing_that_expires(text: str) -> None:
    url = f"{BASE}/{text}-{R2}.qcow2"
    try:
        require_contract_url(url, R2)
    except BadUrl:
        return
    assert url.rsplit("/", 1)[-1].endswith(f"-{R2}.qcow2")


@pytest.mark.parametrize(
    "text",
    [
        "https://xn--a/x",
        "https://[::1",
        "https://[::1%25eth0]/",
        "https://h/%00",
        "https://h/%0d%0aX:y",
        "https://h/a%",
        "https://h/a%2",
        "https://h:0/",
        "https://h:65536/",
        "https://h:/",
        "https://h:+1/",
        "https://h/../x",
        "https://h/./x",
        "https://h/%2E%2e/x",
        "https://h/%252e%252e/x",
        "https://h/a%2fb",
        "https://h/a%5cb",
        "https://user@h/",
        "https://h\\@evil/",
        "https://b\u00fccher.example/",
        "https://h\u3002example/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://1.2.3.4.5/",
        "https://h..example/",
        "https://-h/",
        "https://" + "a" * 64 + "/",
        "https://h/#fragment",
        "https:h/x",
        "//h/x",
        "http://h/x",
        "",
    ],
)
def test_what_two_readers_could_understand_differently_is_no_url(text: str) -> None:
    with pytest.raises(BadUrl):
        Url.parse(text)


def test_a_url_is_used_as_it_was_checked() -> None:
    url = Url.parse("HTTPS://Example.COM:8443/a%20b/c.iso?x=%2F")
    assert (url.host, url.port, url.path, url.query) == ("example.com", 8443, "/a%20b/c.iso", "x=%2F")
    assert str(url) == "https://example.com:8443/a%20b/c.iso?x=%2F"
    assert (url.file_name, url.shown) == ("c.iso", "https://example.com:8443/a%20b/c.iso")
    assert Url.parse(str(url)) == url
    assert str(Url.parse("https://[::1]:443/x")) == "https://[::1]/x"
    assert str(url.joined("../d?e")) == "https://example.com:8443/d?e"
    assert str(url.beside("d e.qcow2")) == "https://example.com:8443/a%20b/d%20e.qcow2?x=%2F"


def test_a_name_alone_stands_for_the_ports_that_no_other_service_has() -> None:
    for port, there in ((443, True), (8443, True), (22, False), (80, False), (1023, False)):
        assert Url.parse(f"https://h:{port}/").is_at({"h"}) is there
    assert Url.parse("https://h:22/").is_at({"h:22"})
    assert not Url.parse("https://h:23/").is_at({"h:22"})


def test_a_name_that_no_file_can_have_is_none() -> None:
    assert Url.parse("https://h/" + "a" * 300).file_name == ""


@given(st.one_of(st.text(max_size=60), st.text("htps:/[]@?#%.-_\\ \nx0129", max_size=60).map("https://".__add__)))
def test_any_text_is_a_url_that_reads_itself_back_or_is_refused_by_type(text: str) -> None:
    try:
        url = Url.parse(text)
    except BadUrl as refusal:
        refusal.message.encode("ascii")
        return
    assert Url.parse(str(url)) == url
