"""What people do to their own account: log in, log out, change name and password, each with its audit rows.

An account belongs to no organisation, so such a row is written into the log of every organisation of the person.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import audit, names
from accounts.actors import Actor
from accounts.models import Membership, User
from accounts.roles import Role

UNKNOWN = "Somebody unknown"


@transaction.atomic
def rename(user: User, *, name: str, address: str | None, now: datetime) -> None:
    """Change the name that colleagues see. Raises `names.NameRefused`."""
    name = names.checked(name)
    former, user.name = user.name, name
    if former != name:
        user.save(update_fields=["name"])
        _record("name_changed", user, address=address, now=now)


def logged_in(user: User, *, address: str | None) -> None:
    """Record that a person logged in."""
    _record("logged_in", user, address=address)


def logged_out(user: User, *, address: str | None) -> None:
    """Record that a person logged out."""
    _record("logged_out", user, address=address)


def password_changed(user: User, *, address: str | None) -> None:
    """Record that a person changed their password."""
    _record("password_changed", user, address=address)


def password_reset_asked(user: User, *, address: str | None) -> None:
    """Record that somebody asked for a letter to choose a new password."""
    _record("password_reset_asked", user, address=address, proven=False)


@transaction.atomic
def email_changed(user: User, *, former: str, address: str | None, now: datetime) -> None:
    """Record that a person logs in with another address from now on."""
    _record("email_changed", user, address=address, now=now, details={"former": former})


def two_factor_changed(action: str, user: User, *, address: str | None, details: dict[str, object]) -> None:
    """Record what a person did to their second factors."""
    _record(action, user, address=address, details=details)


def sessions_ended(user: User, *, count: int, address: str | None, now: datetime) -> None:
    """Record that a person logged other browsers out."""
    _record("sessions_ended", user, address=address, now=now, details={"count": count})


def lock_out_released(user: User, *, by: Actor, now: datetime) -> None:
    """Record in the Admin's organisation that a person may log in again."""
    audit.record("lock_out_released", by=by, target_type="person", target_id=user.public_id, target=user.email, now=now)


def log_in_failed(email: str, *, address: str | None, locked_out: bool = False) -> None:
    """Record that somebody, not necessarily this person, failed to log in as them; nothing for an unknown address."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is not None:
        _record("log_in_failed", user, address=address, proven=False)
        if locked_out:
            _record("locked_out", user, address=address, proven=False)


def by_operator(action: str, user: User, *, now: datetime) -> None:
    """Record what a command on the server did to a person's account."""
    for membership in Membership.objects.filter(user=user).select_related("organisation"):
        audit.record(
            action,
            by=Actor.system(membership.organisation),
            target_type="person",
            target_id=user.public_id,
            target=user.email,
            now=now,
        )


def _record(
    action: str,
    user: User,
    *,
    address: str | None,
    now: datetime | None = None,
    proven: bool = True,
    details: dict[str, object] | None = None,
) -> None:
    """Write the row into the log of each organisation; `proven` says that it was the person themselves."""
    for membership in Membership.objects.filter(user=user).select_related("organisation"):
        by = Actor(
            organisation=membership.organisation,
            role=Role(membership.role),
            name=user.email if proven else UNKNOWN,
            user_id=user.pk if proven else None,
            address=address,
        )
        audit.record(
            action,
            by=by,
            target_type="person",
            target_id=user.public_id,
            target=user.email,
            details=details,
            now=now or timezone.now(),
        )
