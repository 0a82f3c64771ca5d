"""Invitations: an Admin offers a role to an e-mail address, and its owner accepts with the link in the letter.

The link is good for a week and one use. Its secret is made for the letter and stored as a keyed digest. Where no e-mail
service is configured the Admin is shown the link instead, once; where there is one, nobody but the owner of the address
ever sees it, so an account that an invitation makes belongs to the owner of its address.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts import audit, letters, members, names, vault
from accounts.actors import Actor
from accounts.models import Invitation, Membership, User
from accounts.roles import Permission, Role

VALID_FOR = timedelta(days=7)
AGAIN_AFTER = timedelta(minutes=1)
KEPT_FOR = timedelta(days=30)
OPEN_AT_MOST = 100
_SECRET_BYTES = 32


class AlreadyInvited(Exception):
    """The address has an invitation that is not answered yet."""

    def __init__(self, email: str) -> None:
        super().__init__(f"{email} is invited already. Send the invitation again, or withdraw it first.")


class TooManyInvitations(Exception):
    """The organisation has as many open invitations as it may have."""

    def __init__(self) -> None:
        super().__init__(f"There are {OPEN_AT_MOST} open invitations already. Withdraw some first.")


class TooSoon(Exception):
    """The letter was sent a moment ago."""

    def __init__(self) -> None:
        super().__init__("This invitation was sent less than a minute ago. Wait a little before you send it again.")


class InvitationClosed(Exception):
    """The link opens nothing: it is wrong, used, withdrawn, replaced by a newer one, or too old."""

    def __init__(self) -> None:
        super().__init__("This invitation is no longer open. Ask an Admin of the organisation for a new one.")


class NotYours(Exception):
    """Somebody is logged in with another address than the one invited."""

    def __init__(self, email: str) -> None:
        super().__init__(f"This invitation is for {email}. Log out, then open the link again.")
        self.email = email


@dataclass(frozen=True)
class Sent:
    """An invitation that was made or renewed. `link` is told only where no e-mail service is configured."""

    invitation: Invitation
    mailed: bool
    link: str | None = field(default=None, repr=False)


def invite(*, email: str, role: Role, by: Actor, now: datetime) -> Sent:
    """Offer `role` to an address and send the letter; a letter that does not leave can be sent again.

    Raises `members.AlreadyMember`, `AlreadyInvited`, `TooManyInvitations`, `PermissionRefused`.
    """
    email = email.strip().lower()
    secret = _new_secret()
    with transaction.atomic():
        members.lock(by)
        if Membership.objects.filter(organisation=by.organisation, user__email=email).exists():
            raise members.AlreadyMember(email)
        if open_ones(by).count() >= OPEN_AT_MOST:
            raise TooManyInvitations
        try:
            with transaction.atomic():
                invitation = Invitation.objects.create(
                    organisation=by.organisation,
                    email=email,
                    role=role,
                    invited_by_id=by.user_id,
                    created_at=now,
                    renewed_at=now,
                    expires_at=now + VALID_FOR,
                    **_stored(secret),
                )
        except IntegrityError:
            raise AlreadyInvited(email) from None
        _record("member_invited", invitation, by=by, now=now)
    return _send(invitation, secret, by=by)


def send_again(public_id: str, *, by: Actor, now: datetime) -> Sent:
    """Send the letter of an open invitation again, with a new link that replaces the old one and is good for a week.

    Raises `Invitation.DoesNotExist`, `TooSoon`, `PermissionRefused`.
    """
    secret = _new_secret()
    with transaction.atomic():
        members.lock(by)
        invitation = open_ones(by).get(public_id=public_id)
        renewed = Invitation.objects.filter(pk=invitation.pk, renewed_at__lte=now - AGAIN_AFTER)
        if not renewed.update(renewed_at=now, expires_at=now + VALID_FOR, invited_by_id=by.user_id, **_stored(secret)):
            raise TooSoon
        invitation.refresh_from_db()
        _record("invitation_sent_again", invitation, by=by, now=now)
    return _send(invitation, secret, by=by)


@transaction.atomic
def withdraw(public_id: str, *, by: Actor, now: datetime) -> Invitation:
    """Have an open invitation open nothing any more. Raises `Invitation.DoesNotExist`, `PermissionRefused`."""
    members.lock(by)
    invitation = open_ones(by).get(public_id=public_id)
    if not _open().filter(pk=invitation.pk).update(withdrawn_at=now):
        raise Invitation.DoesNotExist
    _record("invitation_withdrawn", invitation, by=by, now=now)
    return invitation


def find(public_id: str, secret: str, *, now: datetime) -> Invitation:
    """Return the open invitation of a link. Raises `InvitationClosed`."""
    invitation = _open().filter(public_id=public_id, expires_at__gt=now).select_related("organisation").first()
    pepper = settings.TOKEN_PEPPERS.get(invitation.pepper_version) if invitation else None
    if invitation is None or pepper is None:
        raise InvitationClosed
    if not hmac.compare_digest(bytes(invitation.digest), vault.digest(pepper, secret)):
        raise InvitationClosed
    return invitation


@transaction.atomic
def accept(invitation: Invitation, *, user: User, address: str | None, now: datetime) -> Membership:
    """Make the person who owns the address a member. Raises `InvitationClosed`, `NotYours`."""
    if user.email != invitation.email:
        raise NotYours(invitation.email)
    accepted = _open().filter(pk=invitation.pk, expires_at__gt=now, digest=invitation.digest)
    if not accepted.update(accepted_at=now):
        raise InvitationClosed
    membership, _ = Membership.objects.get_or_create(
        user=user, organisation=invitation.organisation, defaults={"role": invitation.role, "created_at": now}
    )
    by = Actor.member(membership, address=address)
    audit.record(
        "invitation_accepted",
        by=by,
        target_type="member",
        target_id=membership.public_id,
        target=user.email,
        details={"role": membership.role},
        now=now,
    )
    return membership


@transaction.atomic
def accept_as_new(
    invitation: Invitation, *, name: str, password: str, address: str | None, now: datetime
) -> Membership:
    """Make an account for the address and its owner a member.

    Raises `InvitationClosed`, `names.NameRefused`; `NotYours` when the address has got an account meanwhile.
    """
    name = names.checked(name)
    try:
        with transaction.atomic():
            user = User.objects.create_user(invitation.email, password, name=name)
    except IntegrityError:
        raise NotYours(invitation.email) from None
    return accept(invitation, user=user, address=address, now=now)


def open_ones(by: Actor) -> QuerySet[Invitation]:
    """List the organisation's invitations that nobody has answered, newest first, expired ones among them."""
    by.require(Permission.MANAGE_MEMBERS)
    return _open().filter(organisation=by.organisation).order_by("-created_at", "-pk")


def awaited(email: str, *, now: datetime) -> bool:
    """Tell whether any organisation waits for the owner of an address."""
    return _open().filter(email=email.strip().lower(), expires_at__gt=now).exists()


def forget(*, now: datetime) -> int:
    """Delete invitations that were closed or expired a month ago; the audit log keeps them. Returns how many."""
    before = now - KEPT_FOR
    closed = Q(accepted_at__lt=before) | Q(withdrawn_at__lt=before) | Q(expires_at__lt=before)
    deleted: int = Invitation.objects.filter(closed).delete()[0]
    return deleted


def _open() -> QuerySet[Invitation]:
    return Invitation.objects.filter(Q(accepted_at=None, withdrawn_at=None))


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _stored(secret: str) -> dict[str, bytes | int]:
    version = vault.newest_version(settings.TOKEN_PEPPERS)
    return {"digest": vault.digest(settings.TOKEN_PEPPERS[version], secret), "pepper_version": version}


def _send(invitation: Invitation, secret: str, *, by: Actor) -> Sent:
    """Send the letter once the row is committed."""
    path = reverse("accounts:invitation", kwargs={"invitation": invitation.public_id, "secret": secret})
    link = letters.link(path)
    if not settings.SENDS_EMAIL:
        return Sent(invitation, mailed=False, link=link)
    organisation = by.organisation.name
    text = (
        f"{by.name} invites you to join {organisation} at Activation API as {Role(invitation.role).label}.\n\n"
        f"Open this link to accept; it is good for {VALID_FOR.days} days and works once:\n{link}\n\n"
        f"If you do not know {organisation}, ignore this letter.\n"
    )
    try:
        letters.send(to=invitation.email, subject=f"Join {organisation} at Activation API", text=text)
    except letters.LetterNotSent:
        return Sent(invitation, mailed=False)
    return Sent(invitation, mailed=True)


def _record(action: str, invitation: Invitation, *, by: Actor, now: datetime) -> None:
    audit.record(
        action,
        by=by,
        target_type="invitation",
        target_id=invitation.public_id,
        target=invitation.email,
        details={"role": invitation.role},
        now=now,
    )
