"""Pages of a real browser. Loading the UI takes it seconds of a core: what shares a server shares a page as well."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright


@contextmanager
def empty_page() -> Iterator[Page]:
    """Yield an empty page. Who ends Dagster closes it before: connected, it keeps Dagster waiting."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_context(viewport={"width": 1900, "height": 1000}, timezone_id="UTC").new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def visit(page: Page, path: str) -> None:
    """Go to a path of the UI that a page shows, as a link in it does: the data is asked for, no program is loaded."""
    page.evaluate(
        "(path) => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate', { state: {} })) }",
        path,
    )
