"""A person in front of Chromium: visits pages, and notices everything that must not happen on any of them."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from django.urls import resolve
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Response,
    StorageState,
    ViewportSize,
    expect,
)

WIDE = ViewportSize(width=1280, height=900)
NARROW = ViewportSize(width=360, height=740)
# Nothing takes this long but on a machine that does much else.
PATIENCE = 120_000
# Set, it is a folder to which every page that is looked at is drawn, wide and narrow, light and dark.
SHOTS = os.environ.get("SCREENSHOTS")
_NUMBERS = itertools.count(1)
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Without preloading: axe would fetch stylesheets anew, from addresses that do not exist.
_AXE = {"resultTypes": ["violations"], "preload": False}
# What a page and its files take on the wire, also those that this browser has in its cache.
_WEIGHT = """() => performance.getEntries().reduce((sum, entry) => sum + (entry.encodedBodySize || 0), 0)"""
LIGHT = 100_000  # bytes
# What every page has: one title of each kind, what screen readers jump to, a way past the navigation, and, where
# something typed was refused, a summary that leads to each field, which names its error.
_MISSING = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const named = (id) => id && document.getElementById(id);
    const skip = document.querySelector("a[href], button, input, select, summary");
    const links = all("[data-error-summary] a").map((link) => link.getAttribute("href").slice(1));
    const told = (field) => (field.getAttribute("aria-describedby") || "").split(" ").some(named);
    const led = (field) => links.some((id) => id === field.id || named(id)?.contains(field));
    const must = {
        "one h1 with words": all("h1").length === 1 && all("h1")[0].innerText.trim() !== "",
        "a title of its own": / · Activation API$/.test(document.title) && !document.title.startsWith(" "),
        "a language": document.documentElement.lang === "en",
        "one main landmark and a banner": all("main").length === 1 && all("body > header").length > 0,
        "a navigation where somebody is logged in":
            !document.body.classList.contains("framed") || all("nav[aria-label=Main]").length > 0,
        "a skip link before all else": skip?.matches(".skip") && named(skip.hash.slice(1))?.matches("main"),
        "refused fields that name their error": all("[aria-invalid=true]").every(told),
        "a summary that leads to refused fields": all("main [aria-invalid=true]").every(led),
    };
    return Object.keys(must).filter((what) => !must[what]);
}"""
# A page hears of its new size with the next frame, and arranges itself in that one.
_NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


# Pages that were held against what every page must be when a test arrived there, so that no other test does it again.
_arrived: set[tuple[str, str, str]] = set()


@dataclass
class Visitor:
    """A page, with what went wrong on it: errors on the console (the CSP's too), in scripts, and answers from 500."""

    page: Page
    url: str
    java_script: bool = True
    problems: list[str] = field(default_factory=list)
    # Drawing and axe add styles of their own to a page, which its CSP rightly refuses.
    _looking: bool = False

    def __post_init__(self) -> None:
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("response", self._check)

    def goto(self, path: str) -> None:
        """Open an address of the site."""
        self.page.goto(f"{self.url}{path}")

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def navigate(self, name: str) -> None:
        """Go to a part of the site by its navigation."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()

    def press(self, name: str) -> None:
        """Press the link or button of a name."""
        main = self.page.get_by_role("main")
        main.get_by_role("link", name=name, exact=True).or_(main.get_by_role("button", name=name, exact=True)).click()

    def arrive(self, heading: str) -> None:
        """Wait for the page of a heading; who is the first there holds it against what every page must be."""
        expect(self.page.get_by_role("heading", name=heading, level=1, exact=True)).to_be_visible(timeout=PATIENCE)
        here = (self.url, resolve(self.path).view_name, heading)
        if self.java_script and here not in _arrived:
            _arrived.add(here)
            self.look()

    def local_links(self) -> list[str]:
        """Return where the page's links lead within the site, to pages and not to files."""
        links = self.page.locator("a[href]:not([download])").filter(visible=True)
        found = [(link.get_attribute("href") or "").partition("#")[0] for link in links.all()]
        return [href for href in found if href.startswith("/") and not href.endswith(".json")]

    def look(self) -> None:
        """Hold the page against axe, and against sideways scrolling: wide and light, then narrow and dark."""
        if not self.java_script:
            return  # axe is a script itself
        weight = self.page.evaluate(_WEIGHT)
        assert 0 < weight < LIGHT, f"{self.path} takes {weight} bytes"
        missing = self.page.evaluate(_MISSING)
        assert missing == [], f"{self.path} lacks {missing}"
        self._looking = True
        if SHOTS:
            self._draw(Path(SHOTS))
        self._look_at(WIDE, "light")
        self._look_at(NARROW, "dark")
        self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="light")
        self._looking = False

    def _draw(self, folder: Path) -> None:
        name = f"{next(_NUMBERS):03}{self.path.replace('/', '_')}"
        for size in (WIDE, NARROW):
            self.page.set_viewport_size(size)
            for scheme in _SCHEMES:
                self.page.emulate_media(color_scheme=scheme)
                self.page.screenshot(path=folder / f"{name}_{size['width']}_{scheme}.png", full_page=True)

    def _look_at(self, size: ViewportSize, scheme: Literal["light", "dark"]) -> None:
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate(_NEXT_FRAME)
        where = f"{self.path} ({scheme}, {size['width']} wide)"
        assert self.page.evaluate(SIDEWAYS) == 0, f"{where} scrolls sideways"
        found = axe_finds(self.page)
        assert not found, f"{where}: {found}"

    def wait_for(self, locator: Locator) -> None:
        """Wait for what the page shows by itself as work goes on; without JavaScript, load it anew until it does."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.java_script and not locator.is_visible() and time.monotonic() < deadline:
            self.page.wait_for_timeout(500)
            self.page.reload()
        expect(locator).to_be_visible(timeout=PATIENCE if self.java_script else 1000)

    def _listen(self, told: ConsoleMessage) -> None:
        if told.type == "error" and not self._looking:
            self._note(told.text)

    def _check(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"{response.request.method} {response.url} was answered {response.status}")

    def _note(self, problem: str) -> None:
        self.problems.append(f"{self.path}: {problem}")


def axe_finds(page: Page) -> list[str]:
    """Return what axe finds wrong with a page as it is shown, and still finds when the page has come to rest."""
    if Axe().run(page, options=_AXE).violations_count:
        page.wait_for_timeout(500)
        found = Axe().run(page, options=_AXE)
        return [found.generate_report()] if found.violations_count else []
    return []


@contextmanager
def visiting(
    browser: Browser, url: str, *, java_script: bool = True, logged_in: StorageState | None = None
) -> Iterator[Visitor]:
    """Open a window of its own; when it closes, nothing may have gone wrong in it."""
    context: BrowserContext = browser.new_context(
        java_script_enabled=java_script, storage_state=logged_in, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    try:
        visitor = Visitor(context.new_page(), url, java_script)
        yield visitor
        assert not visitor.problems, "\n".join(visitor.problems)
    finally:
        context.close()
