"""Every page of an organisation in every state, in a narrow window; `make screenshots` draws them all.

The rows are made as they are, without workers: this is about how pages look, and the journeys about what they do.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Browser, Page, Response, ViewportSize
from pytest_django.live_server_helper import LiveServer

from tests.browser import scenes
from tests.browser.scenes import Scene
from tests.browser.visitor import PATIENCE, SHOTS, SIDEWAYS, axe_finds
from tests.rules.test_access import NOT_ALLOWED, OF_A_PERSON, OF_ORGANISATIONS, TABLE, _url

pytestmark = pytest.mark.browser

NARROWEST = ViewportSize(width=320, height=640)
WIDE = ViewportSize(width=1280, height=900)
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FILES = {"accounts:audit_export", "activation:usage_export", "mfa_download_recovery_codes"}
# What pages ask for after their address, and pages that are there only once an authenticator app is set up.
ASKED = {"projects:placement": "?view=features_by_email"}
WITH_AN_APP = {"mfa_deactivate_totp", "mfa_view_recovery_codes"}
# Where what was typed is refused, a form is shown again with what is wrong: of the first form with fields for words.
_WORDS = "input[type=text], input[type=email], input[type=number], input[type=password], textarea"
_NONSENSE = f"{scenes.LONG}: {'nonsense ' * 20}"
_TYPE_NONSENSE = """([form, words]) => {
    for (const field of form.querySelectorAll("input, textarea")) {
        if (["text", "email", "password", "url", "textarea"].includes(field.type)) field.value = words;
        if (field.type === "number") field.value = "-1";
        field.closest("details")?.setAttribute("open", "");
    }
    form.noValidate = true;
    form.submit();
}"""


_TOO_WIDE = """() => [...document.querySelectorAll("main *")]
    .filter((element) => element.getBoundingClientRect().right > innerWidth && !element.closest(".table, .tabs, pre"))
    .map((element) => element.outerHTML.slice(0, 200)).slice(-2)"""

# In a wide window no cell holds more than fits in it, and no table scrolls to show the rest.
_CUT = """() => [...document.querySelectorAll("main .table, main .table :is(th, td)")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.outerHTML.slice(0, 200)).slice(0, 2)"""

# In the narrowest one a table of words has its rows stacked, so it has nothing to scroll for.
_SCROLLS = """() => [...document.querySelectorAll("main .table.stacked")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.getAttribute("aria-label")).slice(0, 2)"""

# A name that a template lacks becomes an empty address, so its link leads to the page it is on.
_LEADS_NOWHERE = """() => [...document.querySelectorAll("a, form")]
    .filter((element) => [element.getAttribute("href"), element.getAttribute("action")].includes(""))
    .map((element) => element.outerHTML.slice(0, 200)).slice(0, 2)"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=NARROWEST, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", scenes.STATES)
def test_every_page_fits_the_narrowest_screen(page: Page, live_server: LiveServer, state: str) -> None:
    scene = scenes.made(state)
    log_in(page, live_server, scene)
    problems: list[str] = []
    seen = refused = 0
    for name, path in paths(scene):
        problems += judge(page, page.goto(live_server.url + path), name, state)
        seen += 1
        if state == "error" and type_nonsense(page):
            refused += 1
            problems += judge(page, None, name, "refused")
    assert problems == []
    assert seen > (25 if state == "empty" else 60)
    assert refused > 10 or state != "error"


def type_nonsense(page: Page) -> bool:
    """Fill the first form of the page with nonsense; tell whether it was refused in words."""
    form = page.locator("main form[method=post]").filter(has=page.locator(_WORDS)).first
    if not form.count():
        return False
    with page.expect_navigation():
        page.evaluate(_TYPE_NONSENSE, [form.element_handle(), _NONSENSE])
    return page.locator("[data-error-summary]").count() > 0


def paths(scene: Scene) -> Iterator[tuple[str, str]]:
    """List what somebody may open, by the names of the addresses; first what wants a log-in of the last minutes."""
    if scene.name in {"empty", "full"}:
        absent = FILES if scene.name == "full" else FILES | WITH_AN_APP
        yield from (
            (name, reverse(name)) for name, method in OF_A_PERSON.items() if method == "GET" and name not in absent
        )
    for address in OF_ORGANISATIONS:
        there = set(address.parts) <= set(scene.parts)
        if there and TABLE[address.name][0] is not NOT_ALLOWED and address.name not in FILES:
            yield address.name, _url(address, scene.parts) + ASKED.get(address.name, "")


def judge(page: Page, answer: Response | None, name: str, state: str) -> list[str]:
    """Draw the page where that is wanted, and say what is wrong with it."""
    if answer is not None and answer.status >= 400:
        return [f"{name} ({state}) was answered {answer.status}"]
    if "/account/confirm/" in page.url and "reauthenticate" not in name:
        return [f"{name} ({state}) was not drawn: the password was asked for first"]
    problems = []
    if page.evaluate(SIDEWAYS):
        problems = [f"{name} ({state}) scrolls sideways at 320 px: {page.evaluate(_TOO_WIDE)}"]
    if scrolling := page.evaluate(_SCROLLS):
        problems.append(f"{name} ({state}) has stacked tables that scroll: {scrolling}")
    if nowhere := page.evaluate(_LEADS_NOWHERE):
        problems.append(f"{name} ({state}) has links that lead nowhere: {nowhere}")
    page.set_viewport_size(WIDE)
    if cut := page.evaluate(_CUT):
        problems.append(f"{name} ({state}) is cut off in a wide window: {cut}")
    page.set_viewport_size(NARROWEST)
    if SHOTS:
        problems += draw(page, Path(SHOTS) / "gallery", f"{name.replace(':', '-')}_{state}")
    return problems


def draw(page: Page, folder: Path, name: str) -> list[str]:
    """Draw a page wide and narrow, light and dark, and let axe look at it in both."""
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    page.evaluate("scrollTo(0, 0)")  # a refused form has gone to its summary
    for size in (WIDE, NARROWEST):
        page.set_viewport_size(size)
        for scheme in _SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{name}_{size['width']}_{scheme}.png", full_page=True)
        for scheme in _SCHEMES:  # axe scrolls what it looks at, so it comes after both pictures
            page.emulate_media(color_scheme=scheme)
            problems += [f"{name} ({size['width']} wide, {scheme}): {found}" for found in axe_finds(page)]
    page.emulate_media(color_scheme="light")
    return problems


def log_in(page: Page, live_server: LiveServer, scene: Scene) -> None:
    """Give the browser the session of the scene's Admin, who logged in just now."""
    session = scenes.just_logged_in(scene)
    page.context.clear_cookies()
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": str(session.session_key), "url": live_server.url}]
    )
