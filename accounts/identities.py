"""Whose token is this? Answered from memory for at most a second (`accounts.renewal`), else from one indexed row.

A revoked token, a weaker owner and a removed member are honoured by every process within that second. While the
database cannot be reached, tokens that were good when last looked up go on being served for `STALE_READS_FOR`
seconds, so revocation is late by at most that; after it, and for tokens this process has never seen, the answer is
`IdentityUnavailable`. The memory is keyed by a digest under a key of this process: neither the token's text nor
anything an attacker could compare with it is kept, logged or raised.
"""

import dataclasses
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, models

from accounts import token_limits, token_texts, vault
from accounts.actors import Actor
from accounts.models import Membership, PersonalAccessToken
from accounts.renewal import Renewal
from accounts.roles import Role, weaker

REMEMBERED_AT_MOST = 20_000
LAST_USED_EVERY = timedelta(minutes=1)
# While the database is down one request a second tries it again; a try may take as long as a connect times out.
_TRY_AGAIN_AFTER = 1.0
_TRY_TAKES_AT_MOST = 10.0

Reason = Literal["malformed", "unknown", "expired", "revoked", "owner_left", "network"]
log = structlog.get_logger(__name__)


class TokenRejected(Exception):
    """The token opens nothing. `reason` is for counting; the caller of the API is told the same whatever it is."""

    def __init__(self, reason: Reason) -> None:
        super().__init__("Unauthorized request. Please check your access token")
        self.reason = reason


class IdentityUnavailable(Exception):
    """The database cannot be asked and this token was not seen recently enough to be trusted without it."""

    def __init__(self) -> None:
        super().__init__("Tokens cannot be checked at the moment. Try again in a few seconds.")


@dataclass(frozen=True)
class TokenIdentity:
    """Who a token acts for: in one organisation, with the weaker of its own role and its owner's present role.

    `limits` is what the token's owner narrowed it to; empty means nothing beyond its role.
    """

    actor: Actor
    token_id: int
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verified:
    """An identity and the moment from which it no longer holds, as the database told them."""

    identity: TokenIdentity
    expires_at: datetime | None


@dataclass(frozen=True)
class _Remembered:
    verified: Verified
    read_at: float
    renewal: Renewal = field(default_factory=Renewal)


class Identities:
    """The identities this process knows. Safe to use from many threads.

    `clock` counts seconds and never goes back; `look_up(public_part, text, now)` asks the database.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_up: Callable[[str, str, datetime], Verified] | None = None,
        remembered_at_most: int = REMEMBERED_AT_MOST,
    ) -> None:
        self._clock = clock
        self._look_up = look_up or _look_up
        self._at_most = remembered_at_most
        self._salt = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._remembered: dict[bytes, _Remembered] = {}
        self._down = False
        self._try_at = 0.0

    def __len__(self) -> int:
        return len(self._remembered)

    def identify(self, text: str, *, now: datetime, address: str | None = None) -> TokenIdentity:
        """Tell whose token `text` is.

        Raises `TokenRejected`, or `IdentityUnavailable` when only the database could tell and it cannot be reached.
        """
        try:
            public_part = token_texts.public_part(text)
        except token_texts.TokenMalformed:
            raise TokenRejected("malformed") from None
        key = self._key(text)
        verified = self._fresh(key) or self._verify(key, public_part, text, now)
        if verified.expires_at is not None and verified.expires_at <= now:
            raise TokenRejected("expired")
        identity = verified.identity
        if not token_limits.admit(identity.limits, address):
            raise TokenRejected("network")
        return dataclasses.replace(identity, actor=dataclasses.replace(identity.actor, address=address))

    def known(self, text: str, *, now: datetime, hands_on: bool = False) -> TokenIdentity | None:
        """Tell whose token `text` is, as of at most a second ago, without the database; None when `identify` must tell.

        A caller that `hands_on` leaves such a request to another thread (`accounts.renewal`). While the database is
        down and it is nobody's turn to try it, what `identify` would go on with counts too. The identity names no
        address: it is for reading, which leaves no audit row.
        """
        remembered = self._remembered.get(self._key(text))
        if remembered is None:
            return None
        at, verified = self._clock(), remembered.verified
        age = at - remembered.read_at
        waiting = self._down and at < self._try_at
        if age > settings.STALE_READS_FOR if waiting else remembered.renewal.is_due(age, hands_on=hands_on):
            return None
        return None if verified.expires_at is not None and verified.expires_at <= now else verified.identity

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(errors="surrogatepass"), key=self._salt, digest_size=32).digest()

    def _fresh(self, key: bytes) -> Verified | None:
        remembered = self._remembered.get(key)
        if remembered is None or remembered.renewal.is_due(self._clock() - remembered.read_at):
            return None
        return remembered.verified

    def _verify(self, key: bytes, public_part: str, text: str, now: datetime) -> Verified:
        # Counted from before the question, so that a slow answer does not lengthen the second.
        asked_at = self._clock()
        if not self._may_ask(asked_at):
            return self._stale(key)
        try:
            verified = self._look_up(public_part, text, now)
        except TokenRejected:
            self._database_answered()
            self._forget(key)
            raise
        except (OperationalError, InterfaceError) as error:
            self._database_failed(error)
            return self._stale(key)
        self._database_answered()
        self._remember(key, _Remembered(verified, asked_at))
        return verified

    def _may_ask(self, at: float) -> bool:
        """While the database is down, let one thread at a time try it and answer the others from memory at once."""
        if not self._down:
            return True
        with self._lock:
            if at < self._try_at:
                return False
            self._try_at = at + _TRY_TAKES_AT_MOST
            return True

    def _database_failed(self, error: Exception) -> None:
        with self._lock:
            first = not self._down
            self._down = True
            self._try_at = self._clock() + _TRY_AGAIN_AFTER
        if first:
            log.warning("tokens_cannot_be_checked", error=type(error).__name__)

    def _database_answered(self) -> None:
        self._down = False

    def _stale(self, key: bytes) -> Verified:
        remembered = self._remembered.get(key)
        if remembered is None or self._clock() - remembered.read_at > settings.STALE_READS_FOR:
            self._forget(key)
            raise IdentityUnavailable from None
        return remembered.verified

    def _remember(self, key: bytes, remembered: _Remembered) -> None:
        with self._lock:
            self._remembered.pop(key, None)
            while len(self._remembered) >= self._at_most:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = remembered

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._remembered.pop(key, None)


def _look_up(public_part: str, text: str, now: datetime) -> Verified:
    """Read the token's row and check `text` against it. Raises `TokenRejected` and Django's database errors."""
    try:
        token = _read(public_part)
    except (OperationalError, InterfaceError):
        _drop_connection()
        raise
    secret = None if token is None else _secret(token, text)
    if token is None or secret is None:
        raise TokenRejected("unknown")
    if token.revoked_at is not None:
        raise TokenRejected("revoked")
    present_role: str | None = token.present_role  # type: ignore[attr-defined]  # annotated by _read
    if present_role is None or not token.owner.is_active:
        raise TokenRejected("owner_left")
    _note_use(token, now, secret)
    return Verified(_identity(token, Role(present_role)), token.expires_at)


def _read(public_part: str) -> PersonalAccessToken | None:
    memberships = Membership.objects.filter(
        user_id=models.OuterRef("owner_id"), organisation_id=models.OuterRef("organisation_id")
    )
    return (
        PersonalAccessToken.objects.filter(public_part=public_part)
        .annotate(present_role=models.Subquery(memberships.values("role")[:1]))
        .select_related("owner", "organisation")
        .first()
    )


def _secret(token: PersonalAccessToken, text: str) -> str | None:
    """Compare in constant time with the token's secret and, while it is being rotated, with its second one.

    Returns the field that says when the secret was last used.
    """
    secrets_of_token = (
        ("last_used_at", token.digest, token.pepper_version),
        ("second_used_at", token.second_digest, token.second_pepper_version),
    )
    peppers: dict[int, bytes] = settings.TOKEN_PEPPERS
    found = None
    for field_of_use, digest, version in secrets_of_token:
        pepper = peppers.get(version) if version is not None else None
        if digest is not None and pepper is not None and hmac.compare_digest(bytes(digest), vault.digest(pepper, text)):
            found = field_of_use
    return found


def _identity(token: PersonalAccessToken, present_role: Role) -> TokenIdentity:
    actor = Actor(
        organisation=token.organisation,
        role=weaker(Role(token.role), present_role),
        name=token.owner.email,
        user_id=token.owner_id,
        token=token.name,
    )
    return TokenIdentity(actor=actor, token_id=token.pk, limits=token.limits)


def _note_use(token: PersonalAccessToken, now: datetime, field_of_use: str) -> None:
    """Write when a secret was last used, at most once a minute. A failure to write is no reason to refuse it."""
    due = now - LAST_USED_EVERY
    last = getattr(token, field_of_use)
    if last is not None and last > due:
        return
    unwritten = models.Q(**{field_of_use: None}) | models.Q(**{f"{field_of_use}__lte": due})
    try:
        PersonalAccessToken.objects.filter(unwritten, pk=token.pk).update(**{field_of_use: now})
    except DatabaseError as error:
        log.warning("last_use_of_token_not_written", error=type(error).__name__)
        _drop_connection()


def _drop_connection() -> None:
    """Close a connection that failed: the next request shall not inherit it."""
    if not connection.in_atomic_block:
        connection.close()


_identities = Identities()
identify = _identities.identify
known = _identities.known
