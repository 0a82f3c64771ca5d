"""One running product on an empty database, one Chromium, and an installation that a person has set up."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, StorageState, expect, sync_playwright

from config import demo_warehouse
from config.demo_warehouse import EXAMPLE
from tests.accounts.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.browser import journey
from tests.browser.visitor import PATIENCE, Visitor, visiting
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
    """Debian's Chromium. Playwright runs a loop in this thread, in which Django would refuse to ask its database."""
    expect.set_options(timeout=PATIENCE)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
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


@dataclass(frozen=True)
class Served:
    """A project that is in step, for tests that change nothing but their own person in it: its pages, and a token."""

    installation: Installation
    entities: str
    settings: str
    destination: str
    token: str

    def somebody(self, number: int) -> str:
        """Return the e-mail of one of the people in its Redis, for a test that deletes them."""
        site = self.installation.site
        pattern = f"*:{self.destination}:user:email:*"
        with redis.Redis.from_url(f"redis://:{site.redis_password}@{site.redis_address}") as there:
            keys = sorted(there.scan_iter(pattern, count=1000))
        emails = [str(key, "utf-8").rpartition(":")[2] for key in keys]
        return [email for email in emails if email != EXAMPLE[2]][number]


@pytest.fixture(scope="package")
def served(installation: Installation) -> Served:
    """A project of the organisation that most tests share."""
    with installation.visit() as visitor:
        visitor.goto("/")
        return serve(installation, visitor)


def serve(installation: Installation, visitor: Visitor) -> Served:
    """Set a project up, in the organisation that is seen, until its profiles are served; generate a token for the API."""
    journey.create_project(visitor, "Served")
    entities = visitor.path
    journey.connect_redis(visitor, installation.site.redis_address, installation.site.redis_password)
    destination = journey.see_the_sync_on(visitor)
    visitor.wait_for(visitor.page.get_by_role("status").get_by_text("In step"))
    settings = visitor.path
    token = journey.generate_token(visitor, "Shared by tests")
    return Served(installation, entities, settings, destination, token)


@pytest.fixture
def visitor(installation: Installation) -> Iterator[Visitor]:
    """The person, in a window that shows the overview."""
    with installation.visit() as visitor:
        visitor.goto("/")
        yield visitor
