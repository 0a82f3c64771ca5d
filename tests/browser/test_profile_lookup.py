"""Entities and *Profile Lookup* as people use them: counted, found and filtered, missed and explained, deleted; and who does not see it."""

import re

import pytest
from playwright.sync_api import expect

from config.demo_warehouse import EXAMPLE
from tests.browser import journey
from tests.browser.conftest import Served
from tests.browser.test_people import log_in, new_member, stranger
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]
_, _, PERSON = EXAMPLE


def open_look_up(visitor: Visitor, served: Served) -> str:
    """Go from the project's entities to the Profile Lookup of people; returns its path."""
    visitor.goto(served.entities)
    visitor.press("Profile Lookup of user")
    visitor.arrive("Profile Lookup")
    return visitor.path


def look_up(visitor: Visitor, value: str) -> None:
    """Type an id and press Enter, as one does."""
    field = visitor.page.get_by_label("Id", exact=True)
    field.fill(value)
    field.press("Enter")


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_admin_has_rows_and_nulls_counted(installation, java_script):
    with installation.visit(java_script=java_script) as visitor:
        visitor.goto("/")
        journey.create_project(visitor, f"Counted {int(java_script)}")
        row = visitor.page.get_by_role("row", name="features_by_email")
        expect(row).to_contain_text("not counted")
        visitor.press("Count now")
        visitor.wait_for(row.get_by_text(re.compile(r"^\d+$")))
        visitor.page.get_by_text("columns of features_by_email").click()
        columns = visitor.page.get_by_role("group", name="Columns of features_by_email")
        expect(columns.get_by_role("row", name="user_main_id")).to_contain_text("0 %")
        visitor.look()


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_admin_finds_a_profile_learns_why_another_is_empty_and_deletes_one(served, java_script):
    gone = served.somebody(int(java_script))
    with served.installation.visit(java_script=java_script) as visitor:
        page = visitor.page
        path = open_look_up(visitor, served)

        look_up(visitor, PERSON)
        profile = page.get_by_role("region", name="Profile by email")
        expect(profile.get_by_role("heading", name="Found by email")).to_be_visible()
        expect(profile.get_by_text("Fresh", exact=True)).to_be_visible()
        expect(profile.get_by_text("first_name", exact=True)).to_be_visible()
        visitor.look()
        page.get_by_label("Filter traits by name").fill("orders")
        if not java_script:
            visitor.press("Filter")
        expect(profile.get_by_text("first_name", exact=True)).to_be_hidden()
        expect(profile.get_by_text("total_orders", exact=True)).to_be_visible()
        for more in ("Where it is in Redis", "The call that answers this", "JSON"):
            profile.get_by_text(more, exact=True).click()
        expect(profile.get_by_text("HGETALL")).to_be_visible()
        expect(profile.get_by_label("curl", exact=True)).to_contain_text(PERSON)
        expect(profile.get_by_label("The whole answer")).to_contain_text('"first_name": "Amelia"')
        visitor.look()
        assert PERSON not in page.url

        look_up(visitor, f"{PERSON.upper()}")
        expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
        expect(page.get_by_text("there is one in lower case")).to_be_visible()
        visitor.look()

        look_up(visitor, gone)
        page.get_by_role("button", name="Delete this profile").click()
        visitor.arrive("Delete this profile?")
        expect(page.get_by_text("It stays deleted")).to_be_visible()
        visitor.press("Yes, delete")
        expect(page.get_by_text("The profile is deleted.")).to_be_visible()
        assert visitor.path == path
        look_up(visitor, gone)
        expect(page.get_by_text("The profile was deleted through the API")).to_be_visible()


def test_an_editor_sees_profiles_once_they_may_and_a_viewer_is_told_who_does(installation, served, visitor):
    path = open_look_up(visitor, served)
    new_member(installation, visitor, "eli@northlight.example", "Editor")

    with stranger(installation) as editor:
        log_in(editor, "eli@northlight.example")
        editor.goto(path)
        editor.arrive("Profile Lookup")
        expect(editor.page.get_by_role("listitem").filter(has_text="ada@northlight.example")).to_be_visible()
        expect(editor.page.get_by_label("Id", exact=True)).to_have_count(0)
        editor.problems.clear()  # 403 is what somebody who may not is answered

        visitor.goto("/o/northlight/settings/members/")
        visitor.page.get_by_role("link", name="Change eli@northlight.example").click()
        visitor.page.get_by_label("Sees personal data").check()
        visitor.press("Change role")

        editor.goto(path)
        look_up(editor, PERSON)
        expect(editor.page.get_by_role("heading", name="Found by email")).to_be_visible()
        expect(editor.page.get_by_role("button", name="Delete this profile")).to_have_count(0)
