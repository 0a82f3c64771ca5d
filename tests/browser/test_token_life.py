"""A token from its making to its end, as the person who owns it and the application that uses it see it."""

import time

import pytest
from playwright.sync_api import expect

from tests.browser import journey
from tests.browser.conftest import Served
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

HONOURED_WITHIN = 10.0  # a second is promised; what is tested here is that it is honoured


def status(served: Served, token: str, method: str = "POST") -> int:
    """Return how the API answers a call of the token."""
    with served.installation.visit() as application:
        return journey.call(application, method, token=token, destination=served.destination)[0]


def expect_refused(served: Served, token: str) -> None:
    """Expect the API to refuse a token from now on."""
    deadline = time.monotonic() + HONOURED_WITHIN
    while status(served, token) != 401 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status(served, token) == 401


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_token_is_limited_used_rotated_and_deleted(served, java_script):
    name = f"Till {int(java_script)}"
    with served.installation.visit(java_script=java_script) as visitor:
        page = visitor.page
        first = generate_limited(visitor, name)
        assert (status(served, first), status(served, first, "DELETE")) == (200, 401)
        visitor.press("I have copied it")
        row = page.get_by_role("row", name=name)
        expect(row).to_contain_text("Only: read profiles · entity user · networks 127.0.0.0/8, ::1/128")
        assert first not in page.content()

        visitor.press(f"Rotate {name}")
        visitor.arrive(f"Rotate the token {name}?")
        visitor.press("Yes, rotate")
        second = journey.shown_token(visitor)
        assert second != first
        assert (status(served, first), status(served, second)) == (200, 200)
        visitor.press("I have copied it")
        visitor.press(f"End old secret of {name}")
        visitor.arrive(f"End the old secret of {name}?")
        visitor.press("Yes, end it")
        expect_refused(served, first)
        assert status(served, second) == 200

        visitor.press(f"Delete {name}")
        visitor.arrive(f"Delete the token {name}?")
        visitor.press("Yes, delete")
        expect(page.get_by_role("row", name=name)).to_have_count(0)
        expect_refused(served, second)


def generate_limited(visitor: Visitor, name: str) -> str:
    """Get a limit wrong, correct it alone, and return the token that may then read people from this machine only."""
    page = visitor.page
    visitor.goto("/")
    visitor.navigate("Settings")
    visitor.press("Personal access tokens")
    visitor.press("Generate new token")
    visitor.arrive("Generate new token")
    page.get_by_label("Token name").fill(name)
    page.get_by_label("Role").select_option("Admin")
    day = page.get_by_label("Last day")
    expect(day).to_be_visible(visible=not visitor.java_script)
    page.get_by_label("Expires").select_option("On a day of your choice")
    expect(day).to_be_visible()
    page.get_by_label("Expires").select_option("30 days")
    page.get_by_text("Limit what it can do").click()
    page.get_by_label("Read profiles").check()
    page.get_by_label("Entities").fill("user")
    page.get_by_label("Networks").fill("not a network")
    visitor.press("Generate")
    expect(page.get_by_role("alert")).to_contain_text("Enter one network a line")
    expect(page.get_by_label("Token name")).to_have_value(name)
    expect(page.get_by_label("Entities")).to_have_value("user")
    expect(page.get_by_label("Read profiles")).to_be_checked()
    visitor.look()
    visitor.problems.clear()  # 422 is what a form that is refused is answered
    page.get_by_label("Networks").fill("127.0.0.0/8\n::1/128")
    visitor.press("Generate")
    return journey.shown_token(visitor)
