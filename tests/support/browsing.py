"""The machine's own Chromium, and pages opened in it."""

from contextlib import contextmanager
from shutil import which

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
READY = "body[data-ready=true]"


@contextmanager
def chromium():
    """Start the browser; skipped where there is none, and never got from anywhere."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = which("chromium") or which("chromium-browser")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Opened:
    """A page of the browser, what it asked for, and what went wrong in it."""

    def __init__(self, browser, address, ready=READY, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(address)
        self.page.wait_for_selector(ready, state="attached")

    def _heard(self, message):
        if message.type == "error":
            self.wrong.append(message.text)

    def tab(self, name):
        """Show a tab, and wait until it is drawn."""
        self.page.click(f"#tab-{name}")
        self.page.wait_for_selector(f"body[data-tab={name}]", state="attached")
        self.settle()

    def settle(self):
        """Wait for two frames."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def text(self, selector):
        """Return the text of an element."""
        return self.page.inner_text(selector)

    def close(self):
        """Close it."""
        self.context.close()


@contextmanager
def opened(browser, text, folder, **context):
    """Write a page into a folder and open it from there."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    shown = Opened(browser, path.as_uri(), **context)
    try:
        yield shown
    finally:
        shown.close()
