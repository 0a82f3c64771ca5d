"""Whether a person has two-factor log-in, and whether an organisation lets them in without.

The second factors themselves (authenticator app, passkeys, recovery codes) are django-allauth's.
"""

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Membership, Organisation

# Recovery codes stand in for one of these; alone they are no second factor.
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def factors(user_id: int | None) -> "QuerySet[Authenticator]":
    """List what a person may use as the second factor, oldest first."""
    of_person: QuerySet[Authenticator] = Authenticator.objects.filter(user_id=user_id, type__in=_FACTORS)
    return of_person.order_by("created_at", "pk")


def is_on(user_id: int | None) -> bool:
    """Tell whether a person logs in with a second factor."""
    return factors(user_id).exists()


def is_missing(user_id: int | None, organisation: Organisation) -> bool:
    """Tell whether the organisation asks for a second factor that the person does not have."""
    return organisation.requires_two_factor and not is_on(user_id)


def marked(memberships: QuerySet[Membership]) -> QuerySet[Membership]:
    """Add to each membership, as `two_factor`, whether its person logs in with a second factor."""
    theirs = Authenticator.objects.filter(user=OuterRef("user_id"), type__in=_FACTORS)
    return memberships.annotate(two_factor=Exists(theirs))


def demanding(user_id: int | None) -> "QuerySet[Organisation]":
    """List the person's organisations that ask for a second factor, by name."""
    return Organisation.objects.filter(memberships__user=user_id, requires_two_factor=True).order_by("name")


def reset(user_id: int) -> int:
    """Forget all second factors and recovery codes of a person; returns how many."""
    deleted: int = Authenticator.objects.filter(user_id=user_id).delete()[0]
    return deleted
