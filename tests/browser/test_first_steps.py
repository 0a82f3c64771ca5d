"""From an empty organisation to the first answer of the API, led by the overview's first steps alone."""

import re

import pytest
from playwright.sync_api import expect

from config.demo_warehouse import EXAMPLE, OUTPUT_SCHEMA, PB_PROJECT
from tests.browser import journey
from tests.browser.conftest import FILE
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def take_next_step(visitor: Visitor, title: str, action: str, *, done: int) -> None:
    """Go to the overview, expect the step to be the next one, and press its button."""
    page = visitor.page
    visitor.navigate("Overview")
    visitor.wait_for(page.get_by_text(f"{done} of 8 are done"))
    step = page.get_by_role("listitem").filter(has_text=title)
    expect(step).to_contain_text("next")
    visitor.look()
    step.get_by_role("button", name=action, exact=True).click()


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_first_steps_lead_an_empty_organisation_to_its_first_answer(installation, java_script):
    site = installation.site
    name = "Newcomer" if java_script else "Plain newcomer"
    with installation.visit(java_script=java_script) as visitor, journey.in_an_empty_organisation(visitor, name):
        page = visitor.page
        take_next_step(visitor, "Connect your warehouse", "Connect a warehouse", done=0)
        visitor.press("DuckDB")
        page.get_by_label("Name").fill("Files")
        page.get_by_label("File").fill(FILE)
        visitor.press("Connect and check")
        visitor.wait_for(page.get_by_role("link", name="create a project"))

        take_next_step(visitor, "Create a project", "New project", done=2)
        page.get_by_label("Name").fill("Customers")
        page.get_by_label("Output schema").fill(OUTPUT_SCHEMA)
        page.get_by_label("Text of pb_project.yaml").fill(PB_PROJECT)
        visitor.press("Create project")
        visitor.wait_for(page.get_by_text("Passed", exact=True))

        take_next_step(visitor, "Enable sync to Redis", "Enable sync to Redis", done=4)
        page.get_by_role("switch", name="Enable sync to Redis").click()
        page.get_by_label(re.compile("^Address")).fill(site.redis_address)
        page.get_by_label(re.compile("^Password")).fill(site.redis_password)
        visitor.press("Create")
        destination = journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))

        take_next_step(visitor, "Generate a token", "Generate new token", done=6)
        page.get_by_label("Token name").fill("Shop")
        page.get_by_label("Role").select_option("Admin")
        visitor.press("Generate")

        take_next_step(visitor, "Get the first profile from the API", "Try it", done=7)
        visitor.arrive("Try it")
        see_answers(visitor, destination)

        visitor.navigate("Overview")
        expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
        expect(page.get_by_text("Nothing needs attention")).to_be_visible()
        expect(page.get_by_role("row", name="Customers")).to_contain_text("In step")
        visitor.look()


def see_answers(visitor: Visitor, destination: str) -> None:
    """Try the person in the warehouse whom everybody knows, a stranger, and a sample."""
    page = visitor.page
    _, id_type, value = EXAMPLE
    page.get_by_label("Id type").select_option(id_type)
    page.get_by_label("Id", exact=True).fill("stranger@elsewhere.example")
    visitor.press("Call the API")
    expect(page.get_by_role("status").get_by_text("No profile has this id")).to_be_visible()
    visitor.look()

    page.get_by_label("Id", exact=True).fill(value)
    visitor.press("Call the API")
    expect(page.get_by_role("status").get_by_text("A profile was found")).to_be_visible()
    expect(page.get_by_text("200 OK")).to_be_visible()
    expect(page.get_by_label("Body")).to_contain_text('"features_by_email": {')
    curl = page.get_by_label("curl", exact=True)
    expect(curl).to_contain_text('"Authorization: Bearer $TOKEN"')
    expect(curl).to_contain_text(destination)
    visitor.look()

    page.get_by_label("Id", exact=True).fill("")
    visitor.press("Use a sample id")
    expect(page.get_by_role("status").get_by_text("A profile was found")).to_be_visible()
    expect(page.get_by_label("Id", exact=True)).not_to_have_value("")


def test_the_first_steps_are_hidden_and_shown_again(installation, visitor):
    page = visitor.page
    with journey.in_an_empty_organisation(visitor, "Hidden steps"):
        visitor.press("Hide the first steps")

        expect(page.get_by_role("heading", name="First: a warehouse")).to_be_visible()
        visitor.look()
        visitor.press("Show the first steps again")
        expect(page.get_by_text("0 of 8 are done")).to_be_visible()
