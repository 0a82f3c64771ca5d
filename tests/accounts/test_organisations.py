"""Organisations: renamed, created beside another, asking for two-factor log-in; who is in several moves between them."""

import re

from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import members
from accounts.models import AuditEvent, Membership, Organisation
from accounts.roles import Role
from tests.accounts.test_members import NOW
from tests.cast import Member

PAGE = "/o/acme/settings/organisation/"


def second_factor(of: Member) -> None:
    Authenticator.objects.create(user=of.user, type=Authenticator.Type.TOTP, data={"secret": "x"})


def test_an_admin_renames_the_organisation_and_its_address_stays(admin: Member) -> None:
    assert admin.client.post(PAGE, {"name": "Acme Inc."}).headers["Location"] == PAGE
    assert Organisation.objects.get().name == "Acme Inc."
    assert Organisation.objects.get().slug == "acme"
    row = AuditEvent.objects.latest("pk")
    assert (row.action, row.details) == ("organisation_changed", {"name": "Acme Inc."})
    admin.client.post(PAGE, {"name": "Acme Inc."})
    assert AuditEvent.objects.filter(action="organisation_changed").count() == 1


def test_two_factor_is_required_of_everybody_once_an_admin_has_it(admin: Member, viewer: Member) -> None:
    refused = admin.client.post(PAGE, {"name": "Acme", "requires_two_factor": "on"})
    assert "Set up two-factor log-in for yourself first" in refused.content.decode()
    second_factor(admin)
    assert admin.client.post(PAGE, {"name": "Acme", "requires_two_factor": "on"}).status_code == 303

    assert admin.client.get("/o/acme/").status_code == 200
    for method in (viewer.client.get, viewer.client.post):
        sent = method("/o/acme/settings/profile/tokens/new/", {"name": "CI", "role": "viewer", "expiry": "90"})
        assert (sent.status_code, sent.headers["Location"]) == (303, "/account/security/")
    page = viewer.client.get("/account/security/").content.decode()
    assert "Acme requires two-factor log-in" in page
    assert 'href="/o/acme/' not in page
    second_factor(viewer)
    assert viewer.client.get("/o/acme/").status_code == 200
    row = r'<tr>(?:(?!</tr>).)*vera@acme.example(?:(?!</tr>).)*<td data-label="Two-factor">\s*on\s*</td>'
    assert re.search(row, admin.client.get("/o/acme/settings/members/").content.decode(), re.DOTALL)
    assert "Two-factor" not in viewer.client.get("/o/acme/settings/members/").content.decode()


def test_a_fragment_of_a_page_that_wants_two_factor_sends_the_whole_page(admin: Member, viewer: Member) -> None:
    Organisation.objects.update(requires_two_factor=True)
    answer = viewer.client.get("/o/acme/", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == "/account/security/"


def test_the_last_factor_stays_while_an_organisation_requires_one(admin: Member) -> None:
    second_factor(admin)
    Organisation.objects.update(requires_two_factor=True)
    session = admin.client.session
    assert session is not None
    page = admin.client.get("/account/security/")
    assert "Required by Acme" in page.content.decode()


def test_an_admin_creates_another_organisation_and_is_its_first_admin(admin: Member, editor: Member) -> None:
    page = f"{PAGE}new/"
    assert editor.client.post(page, {"name": "Second"}).status_code == 403
    assert admin.client.post(page, {"name": "Second"}).headers["Location"] == "/o/second/"
    membership = Membership.objects.get(organisation__slug="second")
    assert (membership.user, membership.role) == (admin.user, "admin")
    assert editor.client.get("/o/second/").status_code == 404


def test_who_is_in_several_comes_back_to_the_one_they_were_last_in(admin: Member, outsider: Member) -> None:
    members.add(email=outsider.user.email, role=Role.VIEWER, by=admin.actor, now=NOW)
    client = outsider.client
    assert client.get("/").headers["Location"] == "/o/acme/"
    page = client.get("/o/other/").content.decode()
    assert 'href="/o/acme/"' in page
    assert client.get("/").headers["Location"] == "/o/other/"
    assert client.get("/account/").headers["Location"] == "/o/other/settings/profile/account/"


def test_a_page_asks_once_for_the_organisations_it_names_at_its_top_and_at_its_side(
    admin: Member, outsider: Member
) -> None:
    outsider.organisation.memberships.create(user=admin.user, role=Role.VIEWER)
    admin.client.get("/o/acme/")
    with CaptureQueriesContext(connection) as queries:
        page = admin.client.get("/o/acme/").content.decode()
    assert page.count(f'<a href="/o/{outsider.organisation.slug}/">{outsider.organisation.name}</a>') == 2
    assert page.count('<nav aria-label="Main">') == 2
    asked = [
        query["sql"]
        for query in queries
        if "ORDER BY" in query["sql"] and 'FROM "accounts_organisation"' in query["sql"]
    ]
    assert len(asked) == 1


def test_a_member_leaves_but_the_last_admin_does_not(admin: Member, editor: Member) -> None:
    text = editor.token()
    page = "/o/acme/settings/profile/leave/"
    assert "is the only Admin" in admin.client.post(page).content.decode()
    assert editor.client.get(page).status_code == 200
    assert editor.client.post(page).headers["Location"] == "/"
    assert editor.client.get("/o/acme/").status_code == 404
    row = AuditEvent.objects.get(action="member_left")
    assert (row.actor, row.details) == ("edith@acme.example", {"role": "editor", "deleted_tokens": 1})
    assert text not in repr(row.details)


def test_an_editor_who_may_see_personal_data_loses_it_with_the_role(
    admin: Member, editor: Member, stranger: Client
) -> None:
    membership = editor.user.memberships.get()
    page = f"/o/acme/settings/members/{membership.public_id}/"
    admin.client.post(page, {"role": "editor", "sees_personal_data": "on"})
    membership.refresh_from_db()
    assert membership.sees_personal_data
    assert "sees personal data" in editor.client.get("/o/acme/settings/profile/account/").content.decode()
    assert AuditEvent.objects.latest("pk").details["sees_personal_data"] is True
    admin.client.post(page, {"role": "viewer", "sees_personal_data": "on"})
    membership.refresh_from_db()
    assert (membership.role, membership.sees_personal_data) == ("viewer", False)
