"""Tokens of a few minutes, with which a person tries a call from a page: real ones, so that what is shown is real.

Nobody is ever shown the text of one. It opens one kind of call, to one entity of one destination, is listed beside
the person's other tokens while it lasts, and then its row goes.
"""

from datetime import datetime, timedelta

from accounts import tokens
from accounts.actors import Actor
from accounts.models import PersonalAccessToken
from accounts.roles import Role
from accounts.tokens import IssuedToken

NAME = "Try it"
LASTS = timedelta(minutes=5)


def issue(*, destination: str, entity: str, by: Actor, now: datetime) -> IssuedToken:
    """Generate a token of the person's own that only reads profiles of this entity from this destination.

    Those they tried with before go. Raises `tokens.RoleTooStrong` for who is no Admin, `tokens.NotAMember`.
    """
    own = PersonalAccessToken.objects.filter(trial=True, organisation=by.organisation, owner_id=by.user_id)
    own.exclude(last_used_at=None).delete()
    return tokens.issue(
        name=NAME,
        role=Role.ADMIN,
        expires_at=now + LASTS,
        limits={"verbs": ["read"], "destinations": [destination], "entities": [entity]},
        trial=True,
        by=by,
        now=now,
    )


def forget(*, now: datetime) -> None:
    """Delete those that have expired."""
    PersonalAccessToken.objects.filter(trial=True, expires_at__lte=now).delete()
