import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hyops_assets.contract.version import BadVersion, iso_file_name
from resources.feed.parse import FeedMalformed, Hosts, Release, parse_feed, release_at, sibling_of

HOSTS: Hosts = {"rolling": ["github.com"], "stream": ["community-downloads.vyos.dev"]}
GITHUB = "https://github.com/vyos/vyos-nightly-build/releases/download"
FORMER = "https://github.com/vyos/vyos-rolling-nightly-builds/releases/download"
R = "2026.03.03-0027-rolling"
N = iso_file_name(R)


def entry(version: str, url: str | None = None, timestamp: str | None = None) -> dict[str, str]:
    made = {"url": url or f"{GITHUB}/{version}/vyos-{version}-generic-amd64.iso", "version": version}
    return made if timestamp is None else {**made, "timestamp": timestamp}


def feed_of(*entries: object) -> bytes:
    return json.dumps(entries).encode()


ROLLING = entry("2026.03.03-0027-rolling", timestamp="2026-03-03T00:27:11Z")


@pytest.mark.parametrize(
    "good",
    [
        ROLLING,
        entry("2025.04.04-0018-rolling", timestamp="2025-04-04T00:18:40Z"),
        entry("2026.09.30-1921-rolling", timestamp="2026-09-30T19:21:02Z"),
        entry(
            "1.5-rolling-202408250021",
            f"{FORMER}/1.5-rolling-202408250021/vyos-1.5-rolling-202408250021-generic-amd64.iso",
            "2024-08-25T02:40:00Z",
        ),
        entry("1.5-rolling-202410180006", timestamp="2024-10-18T00:06:59Z"),
        entry("1.5-rolling-202409010000"),
        entry(
            "1.5-stream-2025-Q2",
            "https://community-downloads.vyos.dev/stream/1.5-stream-2025-Q2/vyos-1.5-stream-2025-Q2-generic-amd64.iso",
        ),
        entry("2026.03", "https://community-downloads.vyos.dev/stream/2026.03/vyos-2026.03-generic-amd64.iso"),
        {**ROLLING, "arch": "amd64", "lts": False, "flavors": ["generic"], "release_train": "rolling"},
    ],
)
def test_every_shape_that_vyos_published_rightly_is_good(good: dict[str, str]):
    feed = parse_feed(feed_of(good), hosts=HOSTS)
    assert feed.refused == ()
    (release,) = feed.good
    assert (release.version, release.url) == (good["version"], good["url"])
    assert release.minisig_url == good["url"] + ".minisig"
    assert release.line == ("rolling" if "rolling" in good["version"] else "stream")
    assert feed.newest == release


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(
            entry(
                "1.5-rolling-202312250024",
                f"{FORMER}/1.5-rolling-202312250024/1.5-rolling-202312250024-amd64.iso",
            ),
            "the URL ends in",
            id="2023-12: no vyos- in the name",
        ),
        pytest.param(
            entry(
                "1.5-rolling-202401090000",
                f"{FORMER}/1.5-rolling-202401090000/vyos-1.5-rolling-202401090000-amd64.iso",
            ),
            "the URL ends in",
            id="2024-01: before the generic flavour",
        ),
        pytest.param(
            entry(
                "20240229-new-github-token",
                f"{FORMER}/20240229-new-github-token/vyos-20240229-new-github-token-amd64.iso",
                "2024-02-29T10:00:00Z",
            ),
            "is not a version that VyOS publishes",
            id="2024-02: a test tag",
        ),
        pytest.param(
            entry("", f"{FORMER}/vyos--generic-amd64/vyos--generic-amd64.iso", ""),
            "the version is empty",
            id="2024-08: an empty version",
        ),
        pytest.param(
            entry(
                "1.5-rolling-202408100022",
                f"{FORMER}/vyos-1.5-rolling-202408100022-generic-amd64/"
                "vyos-1.5-rolling-202408100022-generic-amd64.iso",
                "2024-08-10T00:22:00Z",
            ),
            "the URL's tag is",
            id="2024-08: a tag that does not exist",
        ),
        pytest.param(entry("2026.03.03-0027-rolling-r2"), "is not a version that VyOS", id="a revision of ours"),
        pytest.param(entry("2026.03\n"), "is not a version that VyOS", id="a line break"),
        pytest.param(entry("٢٠٢٦.03"), "is not a version that VyOS", id="digits of another script"),
        pytest.param({**ROLLING, "url": ROLLING["url"].replace("https", "http")}, "plain https", id="http"),
        pytest.param({**ROLLING, "url": ROLLING["url"] + "?token=x"}, "plain https", id="a query"),
        pytest.param(
            {**ROLLING, "url": ROLLING["url"].replace("github", "me:pw@github")}, "plain https", id="credentials"
        ),
        pytest.param({**ROLLING, "url": "file:///etc/passwd"}, "plain https", id="a file"),
        pytest.param(
            {**ROLLING, "url": ROLLING["url"].replace("github.com", "github.com.example.org")},
            "not among the allowed",
            id="a host of another name",
        ),
        pytest.param(
            {**ROLLING, "url": ROLLING["url"].replace("/vyos/", "/another/")}, "no repository of VyOS", id="a fork"
        ),
        pytest.param(entry("2026.13"), "is not a version that VyOS", id="a month that no calendar has"),
        pytest.param(
            entry("2026.02.01-0030-rolling", timestamp="2026-03-03T00:27:11Z"),
            "more than a day from the time in the version",
            id="an old release with a new time",
        ),
        pytest.param({**ROLLING, "timestamp": "yesterday"}, "is not a time with a zone", id="no time"),
        pytest.param(
            {**ROLLING, "timestamp": "2026-03-03T00:27:11Z\0"}, "is not a time with a zone", id="a null byte"
        ),
        pytest.param({**ROLLING, "timestamp": ""}, "is not a time with a zone", id="an empty time"),
        pytest.param({**ROLLING, "timestamp": "2026-03-03T00:27:11"}, "is not a time with a zone", id="no zone"),
        pytest.param({**ROLLING, "timestamp": 1772497631}, "is not a time with a zone", id="a number as time"),
        pytest.param({"version": "2026.03"}, "not both text", id="no url"),
        pytest.param({"version": 5, "url": ["x"]}, "not both text", id="other types"),
        pytest.param("2026.03", "it is no object", id="no object"),
        pytest.param(None, "it is no object", id="null"),
    ],
)
def test_every_mistake_is_refused_with_its_reason_and_spoils_no_other_entry(bad: object, reason: str):
    feed = parse_feed(feed_of(bad, ROLLING), hosts=HOSTS)
    assert [release.version for release in feed.good] == [ROLLING["version"]]
    (refused,) = feed.refused
    assert reason in refused.reason
    assert refused.position == 0
    assert refused.version.isprintable()


def test_all_faults_of_an_entry_are_named_at_once():
    (refused,) = parse_feed(feed_of(entry("bad", "https://example.org/x/y", "never")), hosts=HOSTS).refused
    assert refused.reason.count(";") == 3


def test_a_version_that_stands_there_twice_counts_once():
    feed = parse_feed(feed_of(ROLLING, ROLLING), hosts=HOSTS)
    assert len(feed.good) == 1
    assert "twice" in feed.refused[0].reason


def test_an_entry_later_than_the_one_above_it_is_refused():
    later = entry("2026.03.04-0027-rolling", timestamp="2026-03-04T00:27:11Z")
    feed = parse_feed(feed_of(ROLLING, later), hosts=HOSTS)
    assert [release.version for release in feed.good] == [ROLLING["version"]]
    assert "later than that of the entry before it" in feed.refused[0].reason


def test_a_host_may_be_allowed_on_one_port_only():
    url = "https://127.0.0.1:8443/2026.03/vyos-2026.03-generic-amd64.iso"
    document = feed_of(entry("2026.03", url))
    assert parse_feed(document, hosts={"stream": ["127.0.0.1"]}).good
    assert parse_feed(document, hosts={"stream": ["127.0.0.1:8443"]}).good
    assert parse_feed(document, hosts={"stream": ["127.0.0.1:9443"]}).refused


def test_each_line_of_releases_has_hosts_of_its_own():
    stream, rolling = "2026.03", "2026.03.03-0027-rolling"
    on_github = entry(stream, f"{GITHUB}/{stream}/vyos-{stream}-generic-amd64.iso")
    on_downloads = entry(rolling, f"https://community-downloads.vyos.dev/{rolling}/vyos-{rolling}-generic-amd64.iso")
    feed = parse_feed(feed_of(on_github, on_downloads), hosts=HOSTS)
    assert [refused.reason for refused in feed.refused] == [
        "host github.com is not among the allowed ones of stream releases",
        "host community-downloads.vyos.dev is not among the allowed ones of rolling releases",
    ]


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>404</html>", b"\xff\xfe", b"{}", b'"x"', b"null", b"[" * 100_000, b"9" * 10_000, b"[{}]" * 2],
)
def test_a_document_that_is_no_feed_is_an_error_and_not_an_empty_feed(document: bytes):
    with pytest.raises(FeedMalformed):
        parse_feed(document, hosts=HOSTS)


def test_a_feed_without_end_is_no_feed():
    with pytest.raises(FeedMalformed, match="1001 entries"):
        parse_feed(feed_of(*[{}] * 1001), hosts=HOSTS)


def test_a_release_the_feed_no_longer_names_lies_beside_its_newest():
    (newest,) = parse_feed(feed_of(ROLLING), hosts=HOSTS).good
    older = sibling_of(newest, "2026.02.20-0030-rolling")
    assert older.url == f"{GITHUB}/2026.02.20-0030-rolling/vyos-2026.02.20-0030-rolling-generic-amd64.iso"
    assert older.timestamp is None


def test_a_revision_is_no_release():
    with pytest.raises(BadVersion, match=r"name the release: 2026\.03"):
        release_at("2026.03-r2", "x")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["2026.03.03-0027-rolling", "2026.03", ""]) | st.text() | JSON_VALUES,
        "url": st.sampled_from([ROLLING["url"], "https://github.com/", "https://["]) | st.text() | JSON_VALUES,
        "timestamp": st.datetimes(timezones=st.timezones() | st.none()).map(str) | JSON_VALUES,
    },
)


@given(st.lists(ENTRIES | JSON_VALUES, max_size=6))
def test_every_entry_ends_on_exactly_one_side_and_a_good_one_keeps_every_rule(entries: list[object]):
    feed = parse_feed(json.dumps(entries).encode(), hosts=HOSTS)
    assert len(feed.good) + len(feed.refused) == len(entries)
    assert len({release.version for release in feed.good}) == len(feed.good)
    for release in feed.good:
        assert release.url.startswith("https://github.com/vyos/")
        assert release.url.endswith(f"/{release.version}/vyos-{release.version}-generic-amd64.iso")
    for refused in feed.refused:
        assert refused.reason.isprintable()
        assert refused.version.isascii()
        assert len(refused.version) <= 80


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_crash_the_reader(document: bytes):
    said = ""
    try:
        parse_feed(document, hosts=HOSTS)
    except FeedMalformed as error:
        said = error.message
    assert said.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        f"https://github.com/vyos/vyos-nightly-build/../../evil/repo/releases/download/{R}/{N}",
        f"https://github.com/vyos/vyos-nightly-build/releases/download/../../../../evil/repo/{R}/{N}",
        f"https://github.com/vyos/vyos-nightly-build/./releases/download/{R}/{N}",
        f"https://github.com/vyos/vyos-nightly-build/releases/download/%2e%2e/{R}/{N}",
        f"https://github.com/vyos/vyos-nightly-build/evil/{R}/{N}",
        f"https://github.com:22/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://github.com:99999/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://github.com:8443/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://github.com:0/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://GitHub.com/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://github.com@evil.example/vyos/vyos-nightly-build/releases/download/{R}/{N}",
        f"https://github.com./vyos/vyos-nightly-build/releases/download/{R}/{N}",
    ],
)
def test_a_url_that_is_read_otherwise_than_it_is_checked_is_refused(url: str) -> None:
    feed = parse_feed(feed_of(entry(R, url)), hosts=HOSTS)
    assert (feed.good, len(feed.refused)) == ((), 1)


def test_a_release_whose_files_could_have_no_name_is_refused() -> None:
    for digits in (4, 241):
        feed = parse_feed(feed_of(entry(f"2026.03.{'1' * digits}")), hosts=HOSTS)
        assert feed.good == ()
        assert "is not a version that VyOS publishes" in feed.refused[0].reason


def test_what_was_kept_is_checked_when_it_is_read() -> None:
    good = release_at(R, f"{GITHUB}/{R}/{N}")
    assert Release.model_validate_json(good.model_dump_json()) == good
    for wrong in ({"version": "latest"}, {"url": "https://[::1"}, {"timestamp": "2026-03-03T00:00:00"}):
        with pytest.raises(ValidationError):
            Release.model_validate({**good.model_dump(mode="json"), **wrong})
