"""The main jobs by keyboard alone: Tab, Enter, Space and letters, and one always sees where one is."""

import re

import pytest
from playwright.sync_api import Locator, expect

from config.demo_warehouse import EXAMPLE, OUTPUT_SCHEMA, PB_PROJECT
from tests.browser import journey
from tests.browser.test_people import PASSWORD, link_in_letter, stranger
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

PROJECT = "By keyboard"
MOST_STOPS = 80
_IS_HERE = "element => element === document.activeElement"
_IS_SEEN = """element => {
    const look = getComputedStyle(element), box = element.getBoundingClientRect();
    const ring = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
    return (ring || look.boxShadow !== "none") && box.width > 0 && box.bottom > 0 && box.top < innerHeight;
}"""


def tab_to(visitor: Visitor, wanted: Locator, *keys: str) -> None:
    """Go on by Tab until something has the focus, see that it shows it, and press keys there."""
    expect(wanted).to_be_visible()
    for _ in range(MOST_STOPS):
        visitor.page.keyboard.press("Tab")
        if wanted.evaluate(_IS_HERE):
            break
    else:
        raise AssertionError(f"{visitor.path}: Tab does not lead to {wanted}")
    assert wanted.evaluate(_IS_SEEN), f"{visitor.path}: {wanted} does not show that it has the focus"
    for key in keys:
        visitor.page.keyboard.press(key)


def type_into(visitor: Visitor, label: str | re.Pattern[str], text: str) -> None:
    """Go on to a field by Tab and write into it."""
    tab_to(visitor, visitor.page.get_by_label(label, exact=True).first)
    visitor.page.keyboard.insert_text(text)


def test_the_main_job_is_done_by_keyboard_alone(installation, visitor):
    page = visitor.page
    main, ways = page.get_by_role("main"), page.get_by_role("navigation", name="Main")
    tab_to(visitor, page.get_by_role("link", name="Skip to content"), "Enter")
    assert main.evaluate(_IS_HERE)

    visitor.goto("/")
    tab_to(visitor, ways.get_by_role("link", name="Projects"), "Enter")
    visitor.arrive("Projects")
    tab_to(visitor, main.get_by_role("button", name="New project"), "Enter")
    visitor.arrive("New project")
    create_project(visitor)
    tab_to(visitor, main.get_by_role("link", name="Activation API"), "Enter")
    connect_redis(visitor, installation.site.redis_address, installation.site.redis_password)

    visitor.goto("/")
    tab_to(visitor, ways.get_by_role("link", name="Destinations"), "Enter")
    visitor.arrive("Destinations")
    tab_to(visitor, main.get_by_role("link", name=f"{PROJECT} Redis", exact=True), "Enter")
    visitor.arrive(f"{PROJECT} Redis")
    tab_to(visitor, main.get_by_role("button", name="Try it").or_(main.get_by_role("link", name="Try it")), "Enter")
    visitor.arrive("Try it")
    type_into(visitor, "Id", EXAMPLE[2])
    page.keyboard.press("Enter")
    expect(page.get_by_text("A profile was found")).to_be_visible()
    have_a_token_and_delete_it(visitor)
    sync_now(visitor)


def test_a_member_is_invited_gets_another_role_and_is_removed_by_keyboard_alone(installation, visitor):
    page, email = visitor.page, "keys@northlight.example"
    main = page.get_by_role("main")
    visitor.goto("/")
    tab_to(visitor, page.get_by_role("navigation", name="Main").get_by_role("link", name="Settings"), "Enter")
    visitor.arrive("Your profile")
    tab_to(visitor, page.get_by_role("link", name="Members").last, "Enter")
    visitor.arrive("Members")
    tab_to(
        visitor,
        main.get_by_role("button", name="Invite a member").or_(main.get_by_role("link", name="Invite a member")),
        "Enter",
    )
    visitor.arrive("Invite a member")
    type_into(visitor, re.compile("^E-mail"), email)
    choose(visitor, page.get_by_label("Viewer", exact=True))
    page.keyboard.press("Enter")
    visitor.arrive("Members")
    with stranger(installation) as newcomer:
        join_by_keyboard(
            newcomer, link_in_letter(installation, f"Join {journey.ORGANISATION} at Activation API", email)
        )

    visitor.goto("/o/northlight/settings/members/")
    tab_to(visitor, main.get_by_role("link", name=f"Change {email}"), "Enter")
    visitor.arrive(email)
    choose(visitor, page.get_by_label("Editor", exact=True))
    tab_to(visitor, main.get_by_role("button", name="Change role"), "Enter")
    expect(page.get_by_role("row", name=email)).to_contain_text("Editor")
    tab_to(visitor, main.get_by_role("link", name=f"Change {email}"), "Enter")
    visitor.arrive(email)
    tab_to(visitor, main.get_by_role("link", name="Remove").or_(main.get_by_role("button", name="Remove")), "Enter")
    visitor.arrive(f"Remove {email}?")
    tab_to(visitor, main.get_by_role("button", name="Yes, remove"), "Enter")
    expect(page.get_by_role("row", name=email)).to_have_count(0)


def test_a_profile_is_looked_up_and_deleted_by_keyboard_alone(served, visitor):
    page, gone = visitor.page, served.somebody(2)
    main = page.get_by_role("main")
    visitor.goto(served.entities)
    tab_to(visitor, main.get_by_role("link", name="Profile Lookup of user"), "Enter")
    visitor.arrive("Profile Lookup")
    type_into(visitor, "Id", gone)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Found by email")).to_be_visible()
    type_into(visitor, "Filter traits by name", "orders")
    expect(page.get_by_text("first_name", exact=True)).to_be_hidden()
    tab_to(visitor, main.get_by_text("The call that answers this", exact=True), "Enter")
    expect(page.get_by_label("curl", exact=True)).to_be_visible()
    tab_to(visitor, main.get_by_role("button", name="Delete this profile"), "Enter")
    visitor.arrive("Delete this profile?")
    tab_to(visitor, main.get_by_role("button", name="Yes, delete"), "Enter")
    expect(page.get_by_text("The profile is deleted.")).to_be_visible()


def choose(visitor: Visitor, wanted: Locator) -> None:
    """Go on to a group of choices by Tab, and in it to one by the arrows."""
    group = visitor.page.locator(f"input[name={wanted.get_attribute('name')}]")
    for _ in range(MOST_STOPS):
        visitor.page.keyboard.press("Tab")
        if group.evaluate_all("all => all.includes(document.activeElement)"):
            break
    else:
        raise AssertionError(f"{visitor.path}: Tab does not lead to {wanted}")
    for _ in range(group.count()):
        if wanted.evaluate(_IS_HERE):
            break
        visitor.page.keyboard.press("ArrowDown")
    else:
        raise AssertionError(f"{visitor.path}: the arrows do not lead to {wanted}")
    if not wanted.is_checked():
        visitor.page.keyboard.press("Space")
    expect(wanted).to_be_checked()


def join_by_keyboard(newcomer: Visitor, link: str) -> None:
    """Accept an invitation with a new account."""
    newcomer.goto(link)
    newcomer.arrive(f"Join {journey.ORGANISATION}")
    type_into(newcomer, re.compile("^Your name"), "Keys")
    type_into(newcomer, re.compile("^Password"), PASSWORD)
    newcomer.page.keyboard.press("Enter")
    newcomer.arrive(journey.ORGANISATION)


def have_a_token_and_delete_it(visitor: Visitor) -> None:
    """Generate a token, copy what is shown this once, and delete it."""
    page = visitor.page
    main, name = page.get_by_role("main"), "Till at the back"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab_to(visitor, page.get_by_role("navigation", name="Main").get_by_role("link", name="Settings"), "Enter")
    visitor.arrive("Your profile")
    tab_to(visitor, page.get_by_role("link", name="Personal access tokens").last, "Enter")
    tab_to(visitor, main.get_by_role("button", name="Generate new token"), "Enter")
    visitor.arrive("Generate new token")
    type_into(visitor, "Token name", name)
    tab_to(visitor, page.get_by_label("Role"), "A")
    tab_to(visitor, main.get_by_role("button", name="Generate", exact=True), "Enter")
    token = journey.shown_token(visitor)
    tab_to(visitor, main.get_by_role("button", name="Copy").first, "Enter")
    assert page.evaluate("navigator.clipboard.readText()") == token
    tab_to(visitor, main.get_by_role("button", name="I have copied it"), "Enter")
    tab_to(visitor, main.get_by_role("link", name=f"Delete {name}"), "Enter")
    visitor.arrive(f"Delete the token {name}?")
    tab_to(visitor, main.get_by_role("button", name="Yes, delete"), "Enter")
    expect(page.get_by_role("row", name=name)).to_have_count(0)


def sync_now(visitor: Visitor) -> None:
    """Start a sync from the project's page and see it end."""
    page = visitor.page
    main, status = page.get_by_role("main"), page.get_by_role("status")
    tab_to(visitor, page.get_by_role("navigation", name="Main").get_by_role("link", name="Projects"), "Enter")
    visitor.arrive("Projects")
    tab_to(visitor, main.get_by_role("link", name=PROJECT, exact=True), "Enter")
    tab_to(visitor, page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings"), "Enter")
    tab_to(visitor, main.get_by_role("link", name="Activation API"), "Enter")
    with page.expect_response(lambda answer: answer.request.method == "POST") as pressed:
        tab_to(visitor, main.get_by_role("button", name="Sync Now"), "Enter")
    assert (pressed.value.status, pressed.value.url.rpartition("/")[2]) == (303, "sync")
    visitor.wait_for(status.get_by_text("In step"))


def create_project(visitor: Visitor) -> None:
    """Forget the schema and get the text wrong, then follow the summary of errors to each and correct it."""
    page = visitor.page
    type_into(visitor, re.compile("^Name"), PROJECT)
    type_into(visitor, "Text of pb_project.yaml", PB_PROJECT.replace("id_types:", "id_typos:", 1))
    tab_to(visitor, page.get_by_role("button", name="Create project"), "Enter")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    visitor.look()
    visitor.problems.clear()  # 422 is what a form that is refused is answered
    tab_to(visitor, summary.get_by_role("link", name="Output schema"), "Enter")
    expect(page.get_by_label("Output schema")).to_be_focused()
    page.keyboard.insert_text(OUTPUT_SCHEMA)
    expect(page.get_by_label(re.compile("^Name"))).to_have_value(PROJECT)
    tab_to(visitor, page.get_by_label("Text of pb_project.yaml"), "Control+A")
    page.keyboard.insert_text(PB_PROJECT)
    tab_to(visitor, page.get_by_role("button", name="Create project"), "Enter")
    visitor.arrive(PROJECT)
    visitor.wait_for(page.get_by_text("Everything can be read"))


def connect_redis(visitor: Visitor, address: str, password: str) -> None:
    """Turn the switch and connect a new Redis."""
    page = visitor.page
    tab_to(visitor, page.get_by_role("switch", name="Enable sync to Redis"), "Space")
    visitor.arrive("Enable sync to Redis")
    if not page.get_by_label(re.compile("^Address")).is_visible():
        tab_to(visitor, page.locator("summary", has_text="Connect a new Redis"), "Enter")
    type_into(visitor, re.compile("^Address"), address)
    type_into(visitor, re.compile("^Password"), password)
    page.keyboard.press("Enter")
    journey.see_the_sync_on(visitor)
    visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
