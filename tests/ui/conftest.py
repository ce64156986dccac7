from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.assets.conftest import ground, home, lab_key, miniature, packages, released

__all__ = ["ground", "home", "lab_key", "miniature", "packages", "released"]


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a real browser. Whoever ends Dagster closes it before: connected, it keeps Dagster waiting."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_context(viewport={"width": 1900, "height": 1000}, timezone_id="UTC").new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()
