"""A destination as an Admin looks after it: moved while applications read, its deleted profiles looked up and let back."""

import re

import pytest
import redis
from playwright.sync_api import expect

from config.demo_warehouse import EXAMPLE
from config.embedded import EmbeddedServer
from tests.browser import journey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def test_a_destination_is_moved_while_applications_read_it(installation, visitor, tmp_path):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Moving house")
    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    destination = journey.see_the_sync_on(visitor)
    visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
    token = journey.generate_token(visitor, "While moving")
    visitor.goto("/")
    visitor.navigate("Destinations")
    page.get_by_role("row", name="Moving house").get_by_role("link").first.click()
    visitor.press("Move to another place")
    visitor.arrive("Move to another place")
    served = journey.call(visitor, "POST", token=token, destination=destination)

    with EmbeddedServer(tmp_path / "new") as new, redis.Redis.from_url(new.url()) as there:
        page.get_by_label(re.compile("^Address")).fill(new.address)
        page.get_by_label(re.compile("^Password")).fill(new.password[:-1])
        visitor.press("Test and move")
        visitor.wait_for(page.get_by_role("heading", name="The connection test failed"))
        expect(page.get_by_role("listitem").filter(has_text="AUTH")).to_contain_text("failed")
        visitor.look()
        page.get_by_label(re.compile("^Password")).fill(new.password)
        visitor.press("Test and move")

        visitor.wait_for(page.get_by_role("heading", name="State"))
        visitor.look()
        assert journey.call(visitor, "POST", token=token, destination=destination) == served
        visitor.wait_for(page.get_by_role("heading", name="Last move"))

        expect(page.get_by_role("status").get_by_text("Moved", exact=True)).to_be_visible()
        expect(page.get_by_text(f"Applications read from {new.address}.")).to_be_visible()
        visitor.look()
        assert journey.call(visitor, "POST", token=token, destination=destination) == served
        pattern = f"*:{destination}:user:email:*"
        assert len(list(there.scan_iter(pattern, count=1000))) > 400
        with redis.Redis.from_url(f"redis://:{site.redis_password}@{site.redis_address}") as here:
            assert list(here.scan_iter(f"*:{destination}:*", count=1000)) == []


def test_a_profile_deleted_by_api_is_looked_up_and_let_back_without_javascript(installation):
    site = installation.site
    entity, id_type, value = EXAMPLE
    with installation.visit(java_script=False) as visitor:
        page = visitor.page
        visitor.goto("/")
        journey.create_project(visitor, "Let back")
        journey.connect_redis(visitor, site.redis_address, site.redis_password)
        destination = journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        settings = visitor.path
        token = journey.generate_token(visitor, "Let back")
        journey.call(visitor, "DELETE", token=token, destination=destination)

        visitor.goto(settings)
        visitor.press("Let back Redis")
        page.get_by_role("navigation", name="Sections").get_by_role("link", name="Suppressions").click()
        expect(page.get_by_role("row").filter(has_text="Deleted")).to_have_count(2)  # with the head of the table
        page.get_by_label("Entity").fill(entity)
        page.get_by_label("Id type").fill(id_type)
        page.get_by_label("Id", exact=True).fill(value)
        visitor.press("Check")
        expect(page.get_by_role("status").get_by_text("Suppressed", exact=True)).to_be_visible()
        assert value not in page.url
        visitor.press("Yes, lift it")
        expect(page.get_by_text("The suppression is lifted.")).to_be_visible()

        visitor.goto(settings)
        visitor.press("Sync Now")
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        _, profile = journey.call(visitor, "POST", token=token, destination=destination)
        assert list(profile["data"]) == ["features_by_email"]
