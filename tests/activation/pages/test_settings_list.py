"""The settings of a project: every page is in one list, for those who may see it, and marks itself there."""

import re

import pytest

SETTINGS = "/o/acme/projects/customer-360/settings"
ALWAYS = {
    "General": f"{SETTINGS}/",
    "Specification": f"{SETTINGS}/specification/",
    "Activation API": f"{SETTINGS}/activation",
    "Schedule": f"{SETTINGS}/schedule",
}
ONCE_ON = {
    "Guard": f"{SETTINGS}/activation/guard",
    "Deleted profiles": f"{SETTINGS}/activation/deleted-profiles",
    "Snapshots": f"{SETTINGS}/activation/snapshots",
    "Sync log": f"{SETTINGS}/activation/log",
}
ADMINS = {"Alerts": f"{SETTINGS}/alerts"}


def listed(member, page: str) -> dict[str, tuple[str, bool]]:
    """Read the list: label → where it leads, and whether it is marked."""
    answer = member.client.get(page)
    assert answer.status_code == 200, page
    [nav] = re.findall(r'<nav class="tabs" aria-label="Settings">(.*?)</nav>', answer.content.decode(), re.DOTALL)
    found = re.findall(r'<a href="([^"]+)"( aria-current="page")?>([^<]+)</a>', nav)
    return {label: (href, bool(current)) for href, current, label in found}


@pytest.mark.parametrize("role", ["admin", "editor", "viewer"])
def test_every_page_is_listed_for_those_who_may_see_it_and_marks_itself(request, activation, role):
    member = request.getfixturevalue(role)
    expected = {**ALWAYS, **ONCE_ON, **(ADMINS if role == "admin" else {})}
    for label, page in expected.items():
        found = listed(member, page)
        assert {name: href for name, (href, _) in found.items()} == expected
        assert [name for name, (_, current) in found.items() if current] == [label]


def test_a_project_whose_sync_was_never_on_lists_what_it_has(project, viewer):
    assert set(listed(viewer, ALWAYS["General"])) == set(ALWAYS)
