"""What people do to their own account: log in, log out, change name and password, each with its audit rows.

An account belongs to no organisation, so such a row is written into the log of every organisation of the person.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.models import Membership, User
from accounts.roles import Role

UNKNOWN = "Somebody unknown"


@transaction.atomic
def rename(user: User, *, name: str, address: str | None, now: datetime) -> None:
    """Change the name that colleagues see."""
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


def log_in_failed(email: str, *, address: str | None) -> None:
    """Record that somebody, not necessarily this person, failed to log in as them; nothing for an unknown address."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is not None:
        _record("log_in_failed", user, address=address, proven=False)


def _record(action: str, user: User, *, address: str | None, now: datetime | None = None, proven: bool = True) -> None:
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
            target_id=str(user.pk),
            target=user.email,
            now=now or timezone.now(),
        )
