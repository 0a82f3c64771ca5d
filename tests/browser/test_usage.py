"""What applications ask of a destination, as the people who look after it see it: charts, tables, memory and keys."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser import journey
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def load_until(visitor: Visitor, locator: Locator) -> None:
    """Load the page anew until it shows something that a worker or the API writes down."""
    for _ in range(60):
        visitor.page.reload()
        if locator.is_visible():
            return
        visitor.page.wait_for_timeout(1_000)
    expect(locator).to_be_visible()


def see_the_table_and_forced_colours(visitor: Visitor) -> None:
    """Open a chart's table, and look whether the chart takes the system's colours where those are forced."""
    page = visitor.page
    page.get_by_role("figure", name="Requests by hour").get_by_text("As a table").click()
    visitor.look()
    page.emulate_media(forced_colors="active")
    shown = page.locator("figure.chart .area").first.evaluate("element => getComputedStyle(element).fill")
    page.emulate_media(forced_colors="none")
    assert shown != page.locator("figure.chart .area").first.evaluate("element => getComputedStyle(element).fill")


def choose_and_take_away(visitor: Visitor) -> None:
    """Choose what nobody asked for, then everything of 30 days, as a file too."""
    page = visitor.page
    page.get_by_label("Time").select_option("30 days")
    page.get_by_label("Id type").select_option("user_id")
    visitor.press("Show")
    expect(page.get_by_role("heading", name="Nothing was asked", exact=True)).to_be_visible()
    assert "id_type=user_id" in page.url
    visitor.look()
    page.get_by_role("form", name="What is shown").get_by_role("button", name="Show everything").click()
    expect(page.get_by_role("heading", name="30 days")).to_be_visible()
    visitor.look()
    with page.expect_download() as download:
        visitor.press("Every hour as CSV")
    assert len(download.value.path().read_text().splitlines()) == 1 + 30 * 24


def test_what_applications_asked_is_seen_as_charts_and_tables_and_chosen_by_id_type(installation, visitor):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Usage")
    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    destination = journey.see_the_sync_on(visitor)
    visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
    token = journey.generate_token(visitor, "Loyal shop")
    visitor.navigate("Destinations")
    visitor.arrive("Destinations")
    row = page.get_by_role("row", name=re.compile("^Usage Redis"))
    expect(row).to_contain_text("In step")
    row.get_by_role("link", name="Usage Redis", exact=True).click()
    sections = page.get_by_role("navigation", name="Sections")
    sections.get_by_role("link", name="Usage", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing was asked yet")).to_be_visible()
    visitor.look()

    for _ in range(3):
        journey.call(visitor, "POST", token=token, destination=destination)
    load_until(visitor, page.get_by_role("img", name="Requests by hour"))
    expect(page.get_by_role("figure", name="Hit rate by hour")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^All together 3 3 0 100 % 0 "))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Loyal shop "))).to_contain_text("3")
    visitor.look()
    see_the_table_and_forced_colours(visitor)
    choose_and_take_away(visitor)

    memory = page.get_by_role("region", name="Memory and keys")
    load_until(visitor, memory.get_by_text("Valkey"))
    expect(memory).to_contain_text("Checked")
    expect(memory).to_contain_text("noeviction")
    visitor.navigate("Destinations")
    expect(page.get_by_role("row", name=re.compile("^Usage Redis"))).to_contain_text("100 %")
    visitor.look()


def test_the_usage_page_works_without_javascript(served):
    with served.installation.visit(java_script=False) as visitor:
        page = visitor.page
        journey.call(visitor, "POST", token=served.token, destination=served.destination)
        visitor.goto("/")
        visitor.navigate("Destinations")
        page.get_by_role("row", name="Served Redis").get_by_role("link", name="Served Redis").click()
        page.get_by_role("navigation", name="Sections").get_by_role("link", name="Usage", exact=True).click()
        load_until(visitor, page.get_by_role("img", name="Requests by hour"))
        expect(page.get_by_text("Times are UTC.")).to_be_visible()
        page.get_by_label("Entity").select_option("account")
        visitor.press("Show")
        expect(page.get_by_role("heading", name="Nothing was asked", exact=True)).to_be_visible()
