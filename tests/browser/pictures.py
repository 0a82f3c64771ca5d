"""`make screenshots`: the pictures of README and guides, drawn from the demo by the Chromium of the tests.

Each is a page as a person sees it at first, in a window of a usual size; light, since guides print.
"""

import json
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.processes import ROOT, Up

FOLDER = ROOT / "docs" / "images"
ORGANISATION = "/o/northwind-outdoor"
PROJECT = f"{ORGANISATION}/projects/customer-360"
SIZE = ViewportSize(width=1200, height=820)
CALLS = 300
_USAGE = "from benchmarks import page_rows; from activation.models import Activation; page_rows.usage(Activation.objects.get())"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Up(Path(folder) / "pictures") as up, sync_playwright() as playwright:
        facts = up.facts()
        done = up.manage("shell", "-v", "0", "-c", _USAGE)
        assert done.returncode == 0, done.stderr
        for number in range(CALLS):
            _call(facts, found=number % 25 != 0)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        _log_in(page, facts)
        for name, draw in PICTURES.items():
            draw(page, facts)
            page.screenshot(path=FOLDER / f"{name}.png")
        browser.close()


def _log_in(page: Page, facts: dict[str, Any]) -> None:
    page.goto(f"{facts['url']}/account/login/")
    page.get_by_label("E-mail").fill(facts["email"])
    page.get_by_label("Password", exact=True).fill(facts["password"])
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("navigation", name="Main").first).to_be_visible()


def _call(facts: dict[str, Any], *, found: bool) -> None:
    body = _example(facts)
    asked = body if found else {**body, "id": {**body["id"], "value": "nobody@example.com"}}
    request = urllib.request.Request(
        f"{facts['url']}/v2/activation",
        data=json.dumps(asked).encode(),
        headers={"Authorization": f"Bearer {facts['token']}"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def _example(facts: dict[str, Any]) -> dict[str, Any]:
    example: dict[str, Any] = facts["example"] if isinstance(facts["example"], dict) else json.loads(facts["example"])
    return example


def _at(path: str) -> Callable[[Page, dict[str, Any]], None]:
    def draw(page: Page, facts: dict[str, Any]) -> None:
        page.goto(facts["url"] + path.format(destination=facts["destinationId"]))
        page.wait_for_load_state("networkidle")

    return draw


def _a_sync(page: Page, facts: dict[str, Any]) -> None:
    _at(f"{PROJECT}/history/")(page, facts)
    page.get_by_role("main").get_by_role("link", name="features_by_email").first.click()
    page.wait_for_load_state("networkidle")


def _a_profile(page: Page, facts: dict[str, Any]) -> None:
    _at(f"{PROJECT}/entities/user/profile-lookup")(page, facts)
    page.get_by_label("Id", exact=True).fill(_example(facts)["id"]["value"])
    page.get_by_role("button", name="Look up").click()
    page.wait_for_load_state("networkidle")


PICTURES: dict[str, Callable[[Page, dict[str, Any]], None]] = {
    "overview": _at(f"{ORGANISATION}/"),
    "activation": _at(f"{PROJECT}/settings/activation"),
    "entities": _at(f"{PROJECT}/entities/"),
    "history": _at(f"{PROJECT}/history/"),
    "sync": _a_sync,
    "profile-lookup": _a_profile,
    "usage": _at(f"{ORGANISATION}/destinations/{{destination}}/usage"),
    "alerts": _at(f"{PROJECT}/settings/alerts"),
    "token": _at(f"{ORGANISATION}/settings/profile/tokens/new/"),
    "reference": _at("/docs/api/"),
}

if __name__ == "__main__":
    main()
