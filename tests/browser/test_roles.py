"""What an Admin, an Editor and a Viewer see of the same pages, and what each may press there."""

import pytest
from playwright.sync_api import expect

from tests.browser import journey
from tests.browser.conftest import FILE, Served, serve
from tests.browser.test_people import log_in, new_member, stranger
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

# An organisation of their own: what other tests make would be found in its lists, and a long list has more to press.
ORGANISATION = "Roles"
HOME = "/o/roles"
PLACES = {
    "Admin": ["Overview", "Projects", "Destinations", "Warehouses", "Audit log", "Settings"],
    "Editor": ["Overview", "Projects", "Destinations", "Warehouses", "Settings"],
    "Viewer": ["Overview", "Projects", "Destinations", "Warehouses", "Settings"],
}
_OF_ENTITIES = {
    *("Count now", "Check again"),
    *("Serve this view too for user", "Serve this view too for account"),
}
# What each may press on a page, and nothing else; what copies is left out.
TO_PRESS: dict[str, dict[str, set[str]]] = {
    "entities": {"Admin": _OF_ENTITIES, "Editor": _OF_ENTITIES, "Viewer": set()},
    "settings": {
        "Admin": {"Enable sync to Redis", "Sync Now", "Reset History and Full Sync"},
        "Editor": {"Sync Now", "Reset History and Full Sync"},
        "Viewer": set(),
    },
    "history": {"Admin": {"Report a finished run"}, "Editor": {"Report a finished run"}, "Viewer": set()},
    "destination": {"Admin": {"Rename", "Delete destination", "Try it"}, "Editor": set(), "Viewer": set()},
    "sources": {"Admin": set(), "Editor": set(), "Viewer": set()},
    "usage": {"Admin": {"Show"}, "Editor": {"Show"}, "Viewer": {"Show"}},
    "suppressions": {"Admin": {"Check"}, "Editor": set(), "Viewer": set()},
    "lookup": {"Admin": {"Look up"}, "Editor": set(), "Viewer": set()},
    "projects": {"Admin": {"New project"}, "Editor": {"New project"}, "Viewer": set()},
    "warehouses": {"Admin": {"Connect a warehouse"}, "Editor": set(), "Viewer": set()},
    "members": {"Admin": {"Invite a member"}, "Editor": set(), "Viewer": set()},
}
LEADS_ON = {"Personal access tokens"}  # on a destination's usage as long as nobody has called the API
# The tabs of a destination, and pages that only an Admin is shown.
TABS = {
    "Admin": ["Sources", "Usage", "Suppressions", "Reconcile", "Settings"],
    "Editor": ["Sources", "Usage", "Reconcile", "Settings"],
    "Viewer": ["Sources", "Usage", "Reconcile", "Settings"],
}
REFUSED = {"suppressions": "Your role does not allow this", "lookup": "Profile Lookup"}
TOKEN_ROLES = {"Admin": ["Admin", "Editor", "Viewer"], "Editor": ["Editor", "Viewer"], "Viewer": ["Viewer"]}


def addresses(served: Served) -> dict[str, str]:
    """Name the pages that are compared."""
    return {
        "entities": served.entities,
        "settings": served.settings,
        "history": served.settings.replace("settings/activation", "history/"),
        "destination": f"{HOME}/destinations/{served.destination}/settings",
        "sources": f"{HOME}/destinations/{served.destination}/sources",
        "usage": f"{HOME}/destinations/{served.destination}/usage",
        "suppressions": f"{HOME}/destinations/{served.destination}/suppressions",
        "lookup": f"{served.entities}user/profile-lookup",
        "projects": f"{HOME}/projects/",
        "warehouses": f"{HOME}/warehouses/",
        "members": f"{HOME}/settings/members/",
    }


def to_press(visitor: Visitor, path: str) -> set[str]:
    """Open a page and name what can be pressed there to change something."""
    visitor.goto(path)
    main = visitor.page.get_by_role("main")
    switches = main.get_by_role("switch", name="Enable sync to Redis", disabled=False)
    buttons = main.get_by_role("button", disabled=False).filter(visible=True).all_inner_texts()
    named = {"Enable sync to Redis"} if switches.count() else set()
    names = {name for text in buttons if not (name := " ".join(text.split())).startswith("Copy")}
    return (named | names) - LEADS_ON


def look_through(visitor: Visitor, served: Served, role: str) -> None:
    """Hold every page against what a role may see and press there."""
    page = visitor.page
    visitor.goto("/")
    assert page.get_by_role("navigation", name="Main").get_by_role("link").all_inner_texts() == PLACES[role]
    found = {name: to_press(visitor, path) for name, path in addresses(served).items()}
    assert found == {name: roles[role] for name, roles in TO_PRESS.items()}
    see_the_destination(visitor, served, role)
    visitor.goto(f"{HOME}/settings/profile/tokens/new/")
    assert page.get_by_label("Role").get_by_role("option").all_inner_texts() == TOKEN_ROLES[role]


def see_the_destination(visitor: Visitor, served: Served, role: str) -> None:
    """See the numbers of a destination whoever one is, and its tabs; people's data only as an Admin."""
    page, where = visitor.page, addresses(served)
    for name in ("destination", "sources", "usage"):
        visitor.goto(where[name])
        tabs = page.get_by_role("navigation", name="Sections").get_by_role("link")
        assert tabs.all_inner_texts() == TABS[role], name
        assert page.get_by_role("main").get_by_role("link", name="Edit", exact=True).count() == (
            name == "destination" and role == "Admin"
        )
    expect(page.get_by_role("region", name="Memory and keys")).to_be_visible()
    visitor.goto(where["sources"])
    expect(page.get_by_role("row", name="features_by_email")).to_contain_text("In step")
    if role != "Admin":
        for name, heading in REFUSED.items():
            visitor.goto(where[name])
            visitor.arrive(heading)
            assert page.get_by_label("Id", exact=True).count() == 0
        expect(page.get_by_role("listitem").filter(has_text="ada@northlight.example")).to_be_visible()


def test_each_role_sees_and_presses_exactly_what_it_allows(installation, visitor):
    with journey.in_an_empty_organisation(visitor, ORGANISATION):
        journey.connect_warehouse(visitor, FILE)
        served = serve(installation, visitor)
        look_through(visitor, served, "Admin")
        for role in ("Editor", "Viewer"):
            email = f"exactly.{role.lower()}@northlight.example"
            new_member(installation, visitor, email, role, ORGANISATION)
            with stranger(installation) as person:
                log_in(person, email)
                person.arrive(ORGANISATION)
                look_through(person, served, role)
                meet_what_is_closed(person, served, role)


def meet_what_is_closed(person: Visitor, served: Served, role: str) -> None:
    """See the switch that a Viewer may not press, and be told of pages that are closed to both."""
    person.goto(served.settings)
    if role == "Viewer":
        expect(person.page.get_by_role("switch", name="Enable sync to Redis")).to_be_disabled()
    person.look()
    for path in (f"{HOME}/audit-log/", f"{HOME}/destinations/{served.destination}/edit"):
        person.goto(path)
        person.arrive("Your role does not allow this")
    person.problems.clear()  # 403 is what somebody who may not is answered
