"""Invitations: who may invite, what the link opens, and what it does not."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import invitations, members
from accounts.actors import PermissionRefused
from accounts.models import AuditEvent, Invitation, Membership, User
from accounts.roles import Role
from tests.accounts.test_members import NOW
from tests.cast import Member, colleague

PASSWORD = "correct horse battery"
NEW = "new@acme.example"


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


def invite(by: Member, email: str = NEW, role: Role = Role.EDITOR) -> str:
    """Invite somebody and return the path of the link in their letter."""
    invitations.invite(email=email, role=role, by=by.actor, now=timezone.now())
    return link_in(mail.outbox[-1].body)


def link_in(letter: object) -> str:
    [path] = re.findall(r"https?://[^/]+(/\S+)", str(letter))
    return str(path)


def joins(client: Client, path: str, **changes: str) -> int:
    return client.post(path, {"name": "Nina", "password": PASSWORD, **changes}).status_code


def test_somebody_new_joins_with_the_link_in_their_letter(admin: Member, stranger: Client) -> None:
    path = invite(admin)
    [letter] = mail.outbox
    assert letter.to == [NEW]
    assert "ada@acme.example invites you to join Acme" in letter.body
    assert "as Editor" in stranger.get(path).content.decode()
    assert joins(stranger, path, password="short") == 200
    assert joins(stranger, path) == 303
    assert stranger.get("/o/acme/").status_code == 200
    membership = Membership.objects.get(user__email=NEW)
    assert (membership.role, membership.user.name) == ("editor", "Nina")
    assert [*AuditEvent.objects.order_by("pk").values_list("action", "actor")][1:] == [
        ("member_invited", "ada@acme.example"),
        ("invitation_accepted", NEW),
        ("logged_in", NEW),
    ]


def test_somebody_with_an_account_logs_in_and_joins(admin: Member, outsider: Member, stranger: Client) -> None:
    path = invite(admin, outsider.user.email)
    assert "has an account here" in stranger.get(path).content.decode()
    assert joins(stranger, path) == 200
    assert "You are logged in as olga@other.example" in outsider.client.get(path).content.decode()
    assert outsider.client.post(path).headers["Location"] == "/o/acme/"
    assert {m.organisation.slug for m in Membership.objects.filter(user=outsider.user)} == {"acme", "other"}


def test_a_link_is_for_the_person_invited_only(admin: Member, outsider: Member) -> None:
    path = invite(admin)
    assert outsider.client.get(path).status_code == 403
    assert outsider.client.post(path).status_code == 403
    with pytest.raises(invitations.NotYours):
        invitations.accept(Invitation.objects.get(), user=outsider.user, address=None, now=timezone.now())
    assert not Membership.objects.filter(organisation=admin.organisation, user=outsider.user).exists()


@pytest.mark.parametrize(
    "spoilt", ["used", "withdrawn", "expired", "replaced", "guessed", "inviter demoted", "inviter gone"]
)
def test_a_link_that_is_no_longer_good_opens_nothing(admin: Member, stranger: Client, spoilt: str) -> None:
    second = colleague(admin, "abel@acme.example", Role.ADMIN)
    path = invite(second)
    row = Invitation.objects.get()
    by, now = admin.actor, timezone.now()
    if spoilt == "used":
        joins(Client(), path)
        User.objects.filter(email=NEW).update(email="other@acme.example")
    elif spoilt == "withdrawn":
        invitations.withdraw(row.public_id, by=by, now=now)
    elif spoilt == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif spoilt == "replaced":
        Invitation.objects.update(renewed_at=timezone.now() - timedelta(minutes=2))
        invitations.send_again(row.public_id, by=by, now=now)
    elif spoilt == "guessed":
        path = path[:-2] + ("A/" if path[-2] != "A" else "B/")
    elif spoilt == "inviter demoted":
        members.change_role(second.user.memberships.get().public_id, role=Role.EDITOR, by=by, now=now)
    else:
        members.remove(second.user.memberships.get().public_id, by=by, now=now)
    assert stranger.get(path).status_code == 410
    assert joins(stranger, path) == 410
    assert not User.objects.filter(email=NEW).exists()


def test_two_who_accept_at_once_are_one(admin: Member) -> None:
    path = invite(admin, role=Role.VIEWER)
    *_, public_id, secret, _ = path.split("/")
    found = invitations.find(public_id, secret, now=timezone.now())
    invitations.accept_as_new(found, name="Nina", password=PASSWORD, address=None, now=timezone.now())
    with pytest.raises(invitations.NotYours):
        invitations.accept_as_new(found, name="Nina", password=PASSWORD, address=None, now=timezone.now())
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(found, user=User.objects.get(email=NEW), address=None, now=timezone.now())


def test_nobody_is_invited_twice_or_when_they_belong_already(admin: Member, editor: Member) -> None:
    invite(admin)
    page = "/o/acme/settings/members/invite/"
    twice = admin.client.post(page, {"email": NEW.upper(), "role": "viewer"})
    assert "is invited already" in twice.content.decode()
    known = admin.client.post(page, {"email": editor.user.email, "role": "viewer"})
    assert "is a member already" in known.content.decode()
    assert Invitation.objects.count() == 1


def test_an_invitation_is_sent_again_at_most_once_a_minute_and_withdrawn(admin: Member) -> None:
    first = invite(admin)
    row = Invitation.objects.get()
    again = f"/o/acme/settings/members/invitations/{row.public_id}/again/"
    assert "less than a minute ago" in admin.client.post(again, follow=True).content.decode()
    Invitation.objects.update(renewed_at=timezone.now() - timedelta(minutes=2))
    assert "on its way" in admin.client.post(again, follow=True).content.decode()
    assert link_in(mail.outbox[-1].body) != first
    gone = admin.client.post(f"/o/acme/settings/members/invitations/{row.public_id}/withdraw/", follow=True)
    assert "is withdrawn" in gone.content.decode()
    assert admin.client.post(again).status_code == 404


def test_a_closed_invitation_is_forgotten_after_a_month_and_an_open_one_is_not(admin: Member) -> None:
    invite(admin)
    invite(admin, "withdrawn@acme.example")
    now = timezone.now()
    invitations.withdraw(Invitation.objects.latest("pk").public_id, by=admin.actor, now=now)
    assert invitations.forget(now=now + timedelta(days=29)) == 0
    assert invitations.forget(now=now + timedelta(days=31)) == 1
    assert Invitation.objects.get().email == NEW
    assert invitations.forget(now=now + timedelta(days=38)) == 1


def test_an_organisation_has_so_many_open_invitations_only(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "OPEN_AT_MOST", 1)
    invite(admin)
    with pytest.raises(invitations.TooManyInvitations):
        invite(admin, "another@acme.example")


@pytest.mark.parametrize("kind", [Role.EDITOR, Role.VIEWER])
def test_only_an_admin_invites(admin: Member, editor: Member, viewer: Member, kind: Role) -> None:
    invite(admin)
    weak = editor if kind == Role.EDITOR else viewer
    public_id = Invitation.objects.get().public_id
    for attempt in (
        lambda: invitations.invite(email="x@acme.example", role=Role.VIEWER, by=weak.actor, now=NOW),
        lambda: invitations.send_again(public_id, by=weak.actor, now=NOW),
        lambda: invitations.withdraw(public_id, by=weak.actor, now=NOW),
    ):
        with pytest.raises(PermissionRefused):
            attempt()
    assert NEW not in weak.client.get("/o/acme/settings/members/").content.decode()
    assert NEW in admin.client.get("/o/acme/settings/members/").content.decode()


def test_another_organisations_invitations_are_out_of_reach(admin: Member, outsider: Member) -> None:
    invite(admin)
    public_id = Invitation.objects.get().public_id
    assert outsider.client.post(f"/o/other/settings/members/invitations/{public_id}/withdraw/").status_code == 404
    assert NEW not in outsider.client.get("/o/other/settings/members/").content.decode()


def test_without_an_e_mail_service_the_admin_is_shown_the_link_once(
    admin: Member, stranger: Client, settings: Settings
) -> None:
    settings.SENDS_EMAIL = False
    answer = admin.client.post("/o/acme/settings/members/invite/", {"email": NEW, "role": "viewer"})
    assert "no-store" in answer.headers["Cache-Control"]
    [path] = re.findall(r"/invitations/\w+/[\w-]+/", answer.content.decode())[:1]
    assert path not in admin.client.get("/o/acme/settings/members/").content.decode()
    assert joins(stranger, path) == 303


def test_with_an_e_mail_service_nobody_but_the_owner_of_the_address_sees_the_link(
    admin: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = admin.client.post("/o/acme/settings/members/invite/", {"email": NEW, "role": "viewer"}, follow=True)
    assert "/invitations/" not in re.sub(r"/members/invitations/", "", answer.content.decode())

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the mail server is away")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    answer = admin.client.post(
        "/o/acme/settings/members/invite/", {"email": "b@x.example", "role": "viewer"}, follow=True
    )
    assert "could not be sent" in answer.content.decode()
    assert "/invitations/" not in re.sub(r"/members/invitations/", "", answer.content.decode())


def test_the_secret_of_a_link_is_stored_as_a_digest_only_and_not_logged(
    admin: Member, stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = invite(admin)
    secret = path.split("/")[-2]
    stranger.get(path)
    stored = " ".join(
        repr(bytes(v) if isinstance(v, memoryview) else v) for v in Invitation.objects.values_list().get()
    )
    assert secret not in stored
    assert secret not in caplog.text
    assert secret not in repr([*AuditEvent.objects.values_list()])
