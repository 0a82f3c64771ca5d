"""No page of an organisation shows anything of another one, whoever looks at it."""

import re

import pytest

from accounts.roles import Role
from tests.cast import colleague
from tests.rules.holdings import one_of_everything
from tests.rules.test_access import OF_ORGANISATIONS, _ask, _url, parts

__all__ = ["parts"]
MARK = "Zenith"


@pytest.fixture
def marks(outsider):
    """Everything another organisation has, as texts that must not be seen: names, ids, addresses of people."""
    organisation = outsider.organisation
    organisation.name = f"{MARK} Holding"
    organisation.save(update_fields=["name"])
    other = colleague(outsider, "zoe@zenith.example", Role.EDITOR)
    theirs = one_of_everything(outsider, other, mark=MARK)
    ids = {str(value) for value in theirs.values() if re.fullmatch(r"[0-9A-Za-z]{12,27}", str(value))}
    return {MARK, MARK.lower(), organisation.public_id, outsider.user.email} | ids


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
def test_no_page_shows_anything_of_another_organisation(role, request, parts, marks):
    member = request.getfixturevalue(role)
    seen = 0
    for address in OF_ORGANISATIONS:
        answer = _ask(member.client, "GET", _url(address, parts), follow=True)
        text = answer.getvalue().decode()
        found = [mark for mark in marks if mark in text]
        assert not found, (address.name, found)
        seen += answer.status_code == 200
    assert seen > 30


def test_the_marks_are_seen_by_those_whom_they_belong_to(outsider, marks):
    text = outsider.client.get(f"/o/{outsider.organisation.slug}/projects/").content.decode()
    assert MARK in text
