"""A real Chromium for tests of pages: any fault of a page it visits fails the test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.command import SAFETY_NET

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@contextmanager
def started() -> Iterator[Any]:
    """Start a headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync_api.expect.set_options(timeout=1000 * SAFETY_NET)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visits:
    """Pages opened in one browser, and every console error, page error, dialog and request."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.faults: list[str] = []
        self.contexts: list[Any] = []

    def __call__(self, path: Path, fragment: str = "", **options: object) -> Any:
        """Open a file in a context of its own, with options such as ``viewport``."""
        context = self.browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        context.set_default_timeout(1000 * SAFETY_NET)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on(
            "request",
            lambda r: None if r.url.startswith("file:") else self.faults.append(r.url),
        )
        page.goto(path.as_uri() + fragment)
        return page

    def close(self) -> None:
        """Close every page."""
        for context in self.contexts:
            context.close()
