"""A file URL is read in one place, and only there; every other URL is parsed once, into `Url`."""

import ast
from pathlib import Path

import pytest

from hyops_assets.contract.urls import BadUrl, local_file
from tests.sources import PACKAGES

ROOT = Path(__file__).parents[2]
MAY_SPLIT = {
    "hyops_assets/contract/redaction.py": "blacks out whatever looks like a URL, well-formed or not",
    "hyops_assets/contract/urls.py": "says why a contract's URL is refused, of those too that are none",
    "resources/proxies.py": "a proxy's URL has credentials; it becomes a Proxy at once",
    "resources/secrets.py": "says what is wrong with a proxy's URL before a library takes it apart",
}
"""Where a URL's text is taken apart otherwise than by `Url.parse`, and why."""


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///srv/a.iso", "/srv/a.iso"),
        ("FILE:///srv/a%20b%3Fc", "/srv/a b?c"),
        ("https://h.example/a", None),
        ("/srv/a.iso", None),
        ("files/a", None),
    ],
)
def test_a_file_url_names_a_path_and_nothing_else_does(url: str, path: str | None) -> None:
    assert local_file(url) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    "url",
    [
        "file://other.example/srv/a",
        "file://localhost/srv/a",
        "file:///srv/a?x",
        "file:///srv/a#x",
        "file:///srv/%2e%2e/etc/shadow",
        "file:///srv/../etc/shadow",
        "file:///srv/a%00b",
        "file:srv/a",
        "file:/srv/a",
        "file://",
    ],
)
def test_one_that_two_readers_could_take_for_different_files_is_refused(url: str) -> None:
    with pytest.raises(BadUrl, match="is no URL of a file on this host"):
        local_file(url)


@pytest.mark.seconds
def test_urls_are_taken_apart_in_the_listed_places_alone() -> None:
    """What is looked at in one spelling and used in another is how a check is passed by (S6, S7, S8)."""
    found: set[str] = set()
    for top in PACKAGES:
        for path in (ROOT / top).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            # The lab's servers read what clients of theirs ask.
            if name.startswith("hyops_lab/"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                named = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
                attribute = node.attr if isinstance(node, ast.Attribute) else ""
                if {"urlsplit", "urlparse", "urllib.parse"} & {attribute, *named}:
                    found.add(name)
    assert found == set(MAY_SPLIT)
