"""*Preview changes* as a person sees it: asked for on a source's page, watched, its documents looked at."""

import pytest
from playwright.sync_api import expect

from tests.browser import journey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def test_a_person_previews_changes_and_looks_at_documents(installation, visitor):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Preview")
    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    journey.see_the_sync_on(visitor)
    visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
    page.get_by_role("table").get_by_role("link", name="features_by_email").click()
    source = visitor.path

    visitor.press("Preview changes")

    visitor.wait_for(page.get_by_role("status").get_by_text("Done"))
    expect(page.get_by_text("incremental", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="Added")).to_contain_text("0")
    visitor.look()
    visitor.press("Show 10 profiles before and after")
    expect(page.get_by_text("Unchanged")).to_have_count(10)
    visitor.look()

    visitor.goto(source)
    visitor.press("Source settings")
    page.get_by_label("In lower case").check()
    page.get_by_label("first_name").check()
    visitor.look()
    visitor.press("Save")
    expect(page.get_by_text("The next sync is a full one.")).to_be_visible()
