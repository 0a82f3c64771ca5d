"""A project's runs as a person follows them: what failed is explained and repaired, and the time line is narrowed."""

import re

import pytest
import redis
from playwright.sync_api import expect

from config.embedded import EmbeddedServer
from tests.browser import journey
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_sync_that_redis_refuses_is_explained_and_repaired_from_its_page(installation, tmp_path, java_script):
    with (
        installation.visit(java_script=java_script) as visitor,
        EmbeddedServer(tmp_path / "theirs") as theirs,
        redis.Redis.from_url(theirs.url()) as there,
    ):
        page = visitor.page
        visitor.goto("/")
        journey.create_project(visitor, f"Repaired {int(java_script)}")
        journey.connect_redis(visitor, theirs.address, theirs.password)
        journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        there.config_set("requirepass", "their-new-password")
        there.client_kill_filter(_type="normal", skipme=True)
        failed = see_it_refused(visitor)
        visitor.press("Edit the connection")
        visitor.arrive("Change how it is reached")
        page.get_by_role("textbox", name=re.compile("^Password")).fill("their-new-password")
        visitor.press("Test and save")
        visitor.wait_for(page.get_by_text("The connection is tested and saved."))

        visitor.goto(failed)
        visitor.press("Sync Now")
        visitor.wait_for(page.get_by_role("status").get_by_text("Succeeded"))
        visitor.look()
        visitor.press("Older sync")
        expect(page).to_have_url(re.compile(re.escape(failed)))
        expect(page.get_by_role("main")).to_contain_text("A newer sync followed: succeeded")
        there.config_set("requirepass", theirs.password)


def see_it_refused(visitor: Visitor) -> str:
    """Sync a source now, and read why it failed and what to do; returns the path of the sync's page, open then."""
    page = visitor.page
    page.get_by_role("table").get_by_role("link", name="features_by_email").click()
    visitor.press("Sync Now")
    visitor.wait_for(page.get_by_role("status").get_by_text("Failed", exact=True))
    main = page.get_by_role("main")
    expect(main).to_contain_text("refused")
    expect(main).to_contain_text("Check the password in your provider's Security section and type it again.")
    expect(main).to_contain_text("Edit the destination for that, and press Sync Now.")
    expect(main.get_by_role("link", name="What this error means")).to_have_attribute("href", re.compile("#refused$"))
    visitor.look()
    return visitor.path


@pytest.mark.parametrize("java_script", [True, False])
def test_the_history_is_narrowed_by_what_the_address_says(installation, java_script):
    site = installation.site
    name = "Narrowed" if java_script else "Narrowed plainly"
    with installation.visit(java_script=java_script) as visitor:
        page = visitor.page
        visitor.goto("/")
        journey.create_project(visitor, name)
        visitor.press("History")
        visitor.wait_for(page.get_by_text(re.compile("Profiles run seq")).first)
        page.get_by_role("link", name="Settings").last.click()
        journey.connect_redis(visitor, site.redis_address, site.redis_password)
        journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))

        page.get_by_role("navigation", name="Sections").get_by_role("link", name="History").click()
        visitor.arrive(name)
        runs = page.get_by_role("list", name="Runs, newest first")
        syncs = runs.get_by_role("link", name=re.compile("^Sync of "))
        expect(syncs).to_have_count(len(journey.VIEWS))
        expect(runs).to_contain_text("Profiles run seq")
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Show").select_option("Syncs")
        page.get_by_label("Feature view").select_option("features_by_email by email")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(syncs).to_have_count(1)
        expect(runs).not_to_contain_text("Profiles run seq")
        assert "kind=syncs" in page.url
        visitor.look()
        page.get_by_label("State").select_option("Failed")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
        visitor.look()
        page.get_by_role("button", name="Show everything").first.click()
        expect(syncs).to_have_count(len(journey.VIEWS))
        syncs.first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sync of")
        visitor.look()
