"""Personal access tokens: generate, list, delete, and tell whose a token is.

The text of a token exists once, in `IssuedToken`, for the page or command that shows it. Stored are its public part
and an HMAC-SHA256 digest with a numbered pepper of `TOKEN_PEPPERS`: with the database alone nobody can call the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts import audit, names, roles, token_limits, token_texts, vault
from accounts.actors import Actor, PermissionRefused
from accounts.identities import IdentityUnavailable, TokenIdentity, TokenRejected, identify
from accounts.models import Membership, PersonalAccessToken
from accounts.roles import Permission, Role

__all__ = [
    "ExpiryPassed",
    "IdentityUnavailable",
    "IssuedToken",
    "NotAMember",
    "RoleTooStrong",
    "RotationOpen",
    "TokenIdentity",
    "TokenRejected",
    "end_rotation",
    "everyones",
    "identify",
    "issue",
    "of",
    "own",
    "revoke",
    "rotate",
]


class RoleTooStrong(Exception):
    """Somebody asked for a token that could do more than they may."""

    def __init__(self, role: Role) -> None:
        super().__init__(f"A token can have at most your own role; {role.label} is more. Choose a weaker role.")
        self.role = role


class ExpiryPassed(Exception):
    """The moment a token should expire at is not in the future."""

    def __init__(self) -> None:
        super().__init__("The expiry lies in the past. Choose a later day.")


class RotationOpen(Exception):
    """The token has two secrets already."""

    def __init__(self) -> None:
        super().__init__("This token has two secrets already. End the old one before you rotate it again.")


class NotAMember(Exception):
    """Only a person of the organisation can own a token."""

    def __init__(self) -> None:
        super().__init__("Only a member of the organisation can have a token in it.")


@dataclass(frozen=True)
class IssuedToken:
    """A fresh token and its text, which cannot be had again."""

    token: PersonalAccessToken
    text: str = field(repr=False)


@transaction.atomic
def issue(
    *,
    name: str,
    role: Role,
    expires_at: datetime | None = None,
    limits: Mapping[str, Any] | None = None,
    trial: bool = False,
    by: Actor,
    now: datetime,
) -> IssuedToken:
    """Generate a token for the person `by`; it never does more than they may, and no more than its `limits`.

    Raises `RoleTooStrong`, `ExpiryPassed`, `NotAMember`, `names.NameRefused`, `token_limits.LimitsInvalid`.
    """
    name = names.checked(name)
    kept = token_limits.checked(limits or {})
    if role not in roles.up_to(by.role):
        raise RoleTooStrong(role)
    if expires_at is not None and expires_at <= now:
        raise ExpiryPassed
    if by.user_id is None or not Membership.objects.filter(user=by.user_id, organisation=by.organisation).exists():
        raise NotAMember
    made = token_texts.make()
    version = vault.newest_version(settings.TOKEN_PEPPERS)
    token = PersonalAccessToken.objects.create(
        owner_id=by.user_id,
        organisation=by.organisation,
        name=name,
        role=role,
        public_part=made.public_part,
        digest=vault.digest(settings.TOKEN_PEPPERS[version], made.text),
        pepper_version=version,
        created_at=now,
        expires_at=expires_at,
        limits=kept,
        trial=trial,
    )
    details: dict[str, object] = {"role": role.value, "expires_at": expires_at.isoformat() if expires_at else None}
    if kept:
        details["limits"] = kept
    _record("token_generated", token, by=by, now=now, details=details)
    return IssuedToken(token=token, text=made.text)


@transaction.atomic
def rotate(public_part: str, *, by: Actor, now: datetime) -> IssuedToken:
    """Give one's own token another secret; the one it had goes on working until `end_rotation`.

    Raises `PersonalAccessToken.DoesNotExist`, `RotationOpen`.
    """
    token = own(by).filter(trial=False).get(public_part=public_part)
    made = token_texts.make(token.public_part)
    version = vault.newest_version(settings.TOKEN_PEPPERS)
    rotated = _live(by).filter(pk=token.pk, digest=token.digest, second_digest=None)
    if not rotated.update(
        digest=vault.digest(settings.TOKEN_PEPPERS[version], made.text),
        pepper_version=version,
        last_used_at=None,
        second_digest=token.digest,
        second_pepper_version=token.pepper_version,
        second_used_at=token.last_used_at,
    ):
        raise RotationOpen
    token.refresh_from_db()
    _record("token_rotated", token, by=by, now=now, details={})
    return IssuedToken(token=token, text=made.text)


@transaction.atomic
def end_rotation(public_part: str, *, by: Actor, now: datetime) -> None:
    """Have the old secret of one's own token open nothing any more.

    Raises `PersonalAccessToken.DoesNotExist` when there is no such token with two secrets.
    """
    token = own(by).exclude(second_digest=None).get(public_part=public_part)
    _live(by).filter(pk=token.pk).update(second_digest=None, second_pepper_version=None, second_used_at=None)
    _record("token_old_secret_ended", token, by=by, now=now, details={})


@transaction.atomic
def revoke(public_part: str, *, by: Actor, now: datetime) -> PersonalAccessToken:
    """Delete a token: it opens nothing from now on (in other processes within a second).

    Raises `PersonalAccessToken.DoesNotExist` when `by`'s organisation has no such live token, and `PermissionRefused`
    when it is somebody else's and `by` may not delete those.
    """
    token = _live(by).select_related("owner").get(public_part=public_part)
    if token.owner_id != by.user_id:
        by.require(Permission.MANAGE_ALL_TOKENS)
    if not _live(by).filter(pk=token.pk).update(revoked_at=now):
        raise PersonalAccessToken.DoesNotExist
    _record("token_deleted", token, by=by, now=now, details={"owner": token.owner.email})
    return token


def revoke_all_of(user_id: int, *, by: Actor, now: datetime) -> int:
    """Delete every token that a person has in `by`'s organisation; returns how many. Called when they leave."""
    return _live(by).filter(owner_id=user_id).update(revoked_at=now)


def own(by: Actor) -> QuerySet[PersonalAccessToken]:
    """List the actor's own tokens in their organisation, newest first."""
    return _live(by).filter(owner_id=by.user_id).order_by("-created_at", "-pk")


def everyones(by: Actor) -> QuerySet[PersonalAccessToken]:
    """List the tokens of everyone in the organisation, newest first. Raises `PermissionRefused`."""
    if not by.may(Permission.MANAGE_ALL_TOKENS):
        raise PermissionRefused(Permission.MANAGE_ALL_TOKENS)
    return _live(by).select_related("owner").order_by("-created_at", "-pk")


def of(by: Actor) -> QuerySet[PersonalAccessToken]:
    """List the live tokens of the actor's organisation, for finding one by its public part."""
    return _live(by)


def named(by: Actor) -> QuerySet[PersonalAccessToken]:
    """List tokens whose names the actor may read, deleted ones too: everyone's for who manages them, else one's own."""
    tokens = PersonalAccessToken.objects.filter(organisation=by.organisation).select_related("owner")
    return tokens if by.may(Permission.MANAGE_ALL_TOKENS) else tokens.filter(owner_id=by.user_id)


def _live(by: Actor) -> QuerySet[PersonalAccessToken]:
    """Those that were not deleted; of those of a few minutes (`accounts.trial_tokens`), the ones that last."""
    lasting = Q(trial=False) | Q(expires_at__gt=Now())
    return PersonalAccessToken.objects.filter(lasting, revoked_at=None, organisation=by.organisation)


def _record(action: str, token: PersonalAccessToken, *, by: Actor, now: datetime, details: dict[str, object]) -> None:
    audit.record(
        action,
        by=by,
        target_type="token",
        target_id=token.public_part,
        target=token.name,
        details=details,
        now=now,
    )
