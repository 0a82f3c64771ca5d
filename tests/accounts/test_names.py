"""Names are one line that reads as it is written."""

import pytest
from django.core.exceptions import ValidationError

from accounts import names, organisations, tokens
from accounts.names import NameField
from accounts.roles import Role
from tests.accounts.test_members import NOW
from tests.cast import Member

REFUSED = [
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\x00b",
    "a\x1b[31mb",
    "a\u2028b",
    "a\u202eb",
    "a\u2066b",
    "a\u200fb",
    "a\u200bb",
    "a\ufeffb",
]
WELCOME = ["Acme", "Müller & Söhne", "株式会社", "شركة", "👩\u200d🚀 team", "می\u200cشود", "O'Neil <x>"]


@pytest.mark.parametrize("name", REFUSED)
def test_line_breaks_and_invisible_marks_are_no_part_of_a_name(name: str) -> None:
    with pytest.raises(names.NameRefused):
        names.checked(name)
    with pytest.raises(ValidationError):
        NameField(label="Name").clean(name)
    assert names.checked(names.cleaned(name)) == "a b" or "[31m" in name


@pytest.mark.parametrize("name", WELCOME)
def test_names_of_every_script_are_welcome(name: str) -> None:
    assert names.checked(f" {name} ") == name
    assert NameField(label="Name").clean(name) == name
    assert names.cleaned(name) == name


def test_no_use_case_of_people_takes_a_name_that_is_none(admin: Member) -> None:
    with pytest.raises(names.NameRefused):
        tokens.issue(name="C\nI", role=Role.VIEWER, by=admin.actor, now=NOW)
    with pytest.raises(names.NameRefused):
        organisations.create(name="Acme\u202e", founder=admin.user, now=NOW)


@pytest.mark.parametrize(
    ("page", "form"),
    [
        ("settings/profile/account/", {"name": "Ada\u202eecila"}),
        ("settings/profile/tokens/new/", {"name": "a\u2028b", "role": "viewer", "expiry": "90"}),
        ("settings/organisation/", {"name": "A\u200fcme"}),
        ("warehouses/new/duckdb/", {"name": "Cust\u2066omers"}),
    ],
)
def test_a_page_says_what_a_name_may_not_hold(admin: Member, page: str, form: dict[str, str]) -> None:
    answer = admin.client.post(f"/o/acme/{page}", form)
    assert answer.status_code == 200
    assert names.REFUSED in answer.content.decode()
