"""The main job as a person does it, in a real browser against the real product, from an empty database on."""

import re

import pytest
from django.urls import resolve
from playwright.sync_api import expect

from config.demo_warehouse import EXAMPLE
from tests.browser import journey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def test_a_person_goes_from_an_empty_database_to_a_profile_that_is_served_and_then_deleted(installation, visitor):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Customers")
    visitor.look()

    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    destination = journey.see_the_sync_on(visitor)
    visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
    for view in journey.VIEWS:
        expect(page.get_by_role("row", name=view)).to_contain_text("In step")
    visitor.look()

    token = journey.generate_token(visitor, "Web shop")
    visitor.look()
    visitor.press("I have copied it")
    expect(page.get_by_role("row", name="Web shop")).to_be_visible()
    assert token not in page.content()

    status, profile = journey.call(visitor, "POST", token=token, destination=destination)
    entity, id_type, value = EXAMPLE
    assert (status, profile["entity"], profile["id"]) == (200, entity, {"type": id_type, "value": value})
    assert list(profile["data"]) == ["features_by_email"]
    traits = profile["data"]["features_by_email"]
    assert (traits["email"], traits["first_name"], traits["plan"]) == (value, "Amelia", "team")
    assert traits["total_orders"] == 14

    assert journey.call(visitor, "DELETE", token=token, destination=destination) == (
        200,
        {"deletedKeys": 1, "actualKeys": 1},
    )
    assert journey.call(visitor, "POST", token=token, destination=destination) == (200, {**profile, "data": {}})


def test_a_wrong_password_is_named_at_its_step_and_nothing_else_is_typed_again(installation, visitor):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Second try")
    journey.connect_redis(visitor, site.redis_address, site.redis_password[:-1])

    visitor.wait_for(page.get_by_role("heading", name="The connection test failed"))
    steps = page.get_by_role("listitem")
    expect(steps.filter(has_text="TCP")).to_contain_text("passed")
    expect(steps.filter(has_text="AUTH")).to_contain_text("failed")
    expect(steps.filter(has_text="AUTH")).to_contain_text("password")
    expect(steps.filter(has_text="Write, read and delete")).to_contain_text("not reached")
    expect(page.get_by_label(re.compile("^Address"))).to_have_value(site.redis_address)
    expect(page.get_by_label(re.compile("^Password"))).to_have_value("")
    visitor.look()

    page.get_by_label(re.compile("^Password")).fill(site.redis_password)
    visitor.press("Create")
    journey.see_the_sync_on(visitor)


def test_everything_works_without_javascript(installation):
    site = installation.site
    with installation.visit(java_script=False) as visitor:
        page = visitor.page
        visitor.goto("/")
        journey.create_project(visitor, "Plain pages")
        journey.connect_redis(visitor, site.redis_address, site.redis_password)
        destination = journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        visitor.press("Reset History and Full Sync")
        visitor.arrive("Reset History and Full Sync?")
        visitor.press("Yes, sync every row")
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        page.get_by_role("table").get_by_role("link", name="features_by_email").click()
        expect(page.get_by_role("group", name="Syncs").get_by_role("row")).to_have_count(3)
        token = journey.generate_token(visitor, "Batch job")

    status, profile = journey.call(visitor, "POST", token=token, destination=destination)
    assert (status, list(profile["data"])) == (200, ["features_by_email"])


def test_every_page_that_a_link_leads_to_is_accessible_and_fits_narrow_screens(installation, visitor):
    site = installation.site
    journey.create_project(visitor, "Every page")
    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    journey.see_the_sync_on(visitor)
    visitor.wait_for(visitor.page.get_by_role("status").get_by_text("In step"))
    visitor.page.get_by_role("switch", name="Enable sync to Redis").click()
    visitor.arrive("Turn off the sync to Redis?")

    ahead, seen = [visitor.path], {"projects:home"}
    while ahead:
        visitor.goto(ahead.pop(0))
        visitor.look()
        for href in visitor.local_links():
            if (name := resolve(href.partition("?")[0]).view_name) not in seen:
                seen.add(name)
                ahead.append(href)
    assert seen > {"activation:destination", "activation:run", "activation:source"}
    assert seen > {"accounts:audit", "accounts:member", "projects:placement", "projects:specification"}
