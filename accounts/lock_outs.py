"""Lock-outs: five wrong passwords or codes within five minutes, and nobody logs in as that person for a while.

django-allauth counts, in the cache. Here is told how long it lasts, and it is released. An address that nobody has is
locked out in the same way, so that nothing is learnt from the difference.
"""

import time
from datetime import UTC, datetime

from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest

from accounts import members, people
from accounts.actors import Actor
from accounts.models import Membership, User

_APP, _ACTION = "allauth.account", "login_failed"


def password_key(email: str) -> str:
    """Return what failed passwords for an address are counted by, whatever host name they came in by."""
    return f"log-in:{email.strip().lower()}"


def until(email: str, *, user_id: int | None = None) -> datetime | None:
    """Tell when an address may log in again, or None when it may now.

    With `user_id` wrong second factors of that person count too.
    """
    ends = [_ends(key) for key in _keys(email, user_id)]
    latest = max((end for end in ends if end is not None), default=None)
    return datetime.fromtimestamp(latest, UTC) if latest is not None else None


def words(end: datetime, *, now: datetime) -> str:
    """Say until when somebody is locked out: "for 3 more minutes"."""
    minutes = max(1, -(-int((end - now).total_seconds()) // 60))
    return f"for {minutes} more minute{'s' if minutes > 1 else ''}"


def release(user: User) -> None:
    """Let a person log in again at once."""
    for key in _keys(user.email, user.pk):
        for rate in _rates():
            cache.delete(_cache_key(key, rate))


def release_member(member: str, *, by: Actor, now: datetime) -> Membership:
    """Release a member of the actor's organisation by their public id.

    Raises `Membership.DoesNotExist`, `PermissionRefused`.
    """
    with transaction.atomic():
        members.lock(by)
        membership = members.of(by).get(public_id=member)
        people.lock_out_released(membership.user, by=by, now=now)
    release(membership.user)
    return membership


def _keys(email: str, user_id: int | None) -> list[str]:
    second_factor = [f"mfa-auth-user-{user_id}"] if user_id is not None else []
    return [password_key(email), *second_factor]


def _ends(key: str) -> float | None:
    """Return when the last of the limits on a key has room again, as seconds since 1970; None when all have now."""
    now = time.time()
    ends = []
    for rate in _rates():
        tries = [at for at in cache.get(_cache_key(key, rate)) or () if at > now - rate.duration]
        if len(tries) >= rate.amount:
            ends.append(tries[rate.amount - 1] + rate.duration)
    return max(ends, default=None)


def _rates() -> list[ratelimit.Rate]:
    return [rate for rate in ratelimit.get_rates(app=_APP, action=_ACTION) if rate.per == "key"]


def _cache_key(key: str, rate: ratelimit.Rate) -> str:
    # The request serves for limits by address only.
    name: str = ratelimit.get_cache_key(HttpRequest(), app=_APP, action=_ACTION, rate=rate, key=key)
    return name
