"""A headless Chromium for tests of pages: one for a whole test run, and pages that record their errors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(slots=True)
class Opened:
    """A page in the browser, with the messages of its console and the URLs that it requested."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def run(self, code: str, argument: Any = None) -> Any:
        """Return the value of a JavaScript expression or function in the page."""
        return self.page.evaluate(code, argument)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of this machine. Skips the test where there is none, or no driver."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright, for the tests in a browser")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium on the PATH: apt install chromium, for the tests in a browser")
    with sync_api.sync_playwright() as playwright:
        # A container may allow no sandbox, and have too little shared memory.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, scheme: str = "light") -> Iterator[Opened]:
    """Open a report in a window of `width` pixels, in the "light" or "dark" scheme."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    view = Opened(page)
    page.on("console", lambda message: view.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: view.said.append(f"error: {error}"))
    page.on("request", lambda request: view.asked.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("footer")
    yield view
    page.close()
