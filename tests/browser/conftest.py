"""One running product on an empty database, one Chromium, and an installation that a person has set up."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from config import demo_warehouse
from tests.accounts.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.browser import journey
from tests.browser.visitor import Visitor, visiting
from tests.processes import Up

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
FILE = "northlight.duckdb"


@dataclass(frozen=True)
class Site:
    """A running product and what it printed: the code to set it up with, and a Redis to connect."""

    up: Up
    browser: Browser
    code: str
    redis_address: str
    redis_password: str
    letters: Path
    provider: IdentityProvider


@dataclass(frozen=True)
class Installation:
    """A site with an organisation, a warehouse and a person who is logged in."""

    site: Site
    logged_in: StorageState

    def visit(self, *, java_script: bool = True):
        """Open a window in which the person is logged in."""
        return visiting(self.site.browser, self.site.up.url, java_script=java_script, logged_in=self.logged_in)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Site]:
    """The product on an empty database, with a warehouse file in its folder."""
    folder = tmp_path_factory.mktemp("site")
    demo_warehouse.build(folder / "warehouses" / FILE, people=500)
    with pytest.MonkeyPatch.context() as patch, IdentityProvider(name="Sam", email="") as provider:
        patch.setenv("OIDC_ISSUER", provider.issuer)
        patch.setenv("OIDC_CLIENT_ID", CLIENT)
        patch.setenv("OIDC_CLIENT_SECRET", SECRET)
        patch.setenv("OIDC_NAME", "Northlight ID")
        patch.setenv("STALE_READS_FOR", "2")  # the old place of a move is emptied no sooner
        patch.setenv("STYLEGUIDE", "1")
        patch.setenv("EMAIL_URL", f"file://{folder / 'letters'}")
        up = Up(folder, demo=False).start()
        try:
            [code] = re.findall(r"Set-up code +(\S+)", up.output)
            [(address, password)] = re.findall(r"A Redis to try +(\S+) +password (\S+)", up.output)
            yield Site(up, browser, code, address, password, folder / "letters", provider)
        finally:
            up.stop()


@pytest.fixture(scope="package")
def installation(site: Site) -> Installation:
    """Set up by a person, from the first visit to a warehouse whose check has passed."""
    with visiting(site.browser, site.up.url) as visitor:
        journey.set_up(visitor, site.code)
        journey.connect_warehouse(visitor, FILE)
        return Installation(site, visitor.page.context.storage_state())


@pytest.fixture
def visitor(installation: Installation) -> Iterator[Visitor]:
    """The person, in a window that shows the overview."""
    with installation.visit() as visitor:
        visitor.goto("/")
        yield visitor
