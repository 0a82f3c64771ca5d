"""Looks at each destination's Redis every minute, from a control worker, so that no page has to dial it.

A look reads and changes nothing. One that cannot be reached is tried again after some minutes only: the worker that
waits for it has other things to do.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from accounts.vault import SecretUnreadable
from activation import destinations
from activation.engine import servers
from activation.engine.channel import Limits
from activation.engine.connection import connect
from activation.engine.errors import DestinationError
from activation.engine.redis_settings import SettingsInvalid
from activation.engine.servers import Server
from activation.models import RedisDestination, ServerLook

EVERY = timedelta(minutes=1)
AGAIN_AFTER = timedelta(minutes=5)  # one that could not be reached
KEPT_EVERY = timedelta(minutes=15)
KEPT_FOR = timedelta(days=1)
_STILL_ANSWERS = timedelta(minutes=10)
_LIMITS = Limits(connect=1.0, command=1.0, connections=1)
_AT_ONCE = 50


def due(*, now: datetime) -> list[int]:
    """List the destinations, by primary key, that are to be looked at now."""
    unseen = RedisDestination.objects.filter(server_look=None)
    ServerLook.objects.bulk_create(
        [ServerLook(destination=destination, next_at=now) for destination in unseen], ignore_conflicts=True
    )
    rows = ServerLook.objects.filter(next_at__lte=now, destination__other_place_of=None).order_by("next_at")
    return list(rows.values_list("destination_id", flat=True)[:_AT_ONCE])


def look(destination_id: int, *, now: datetime) -> None:
    """Look at a destination's servers, unless somebody just has, and put on record what they tell."""
    if not _row(destination_id).filter(next_at__lte=now).update(next_at=now + EVERY):
        return
    row = _row(destination_id).select_related("destination").get()
    try:
        told = _ask(row.destination)
    except DestinationError as error:
        problem = error.code
    except (SecretUnreadable, SettingsInvalid) as error:
        problem = type(error).__name__
    else:
        history = _with(row.history, told, now=now)
        plain = [asdict(server) for server in told]
        _row(destination_id).update(servers=plain, history=history, problem="", told_at=now, tried_at=now)
        return
    _row(destination_id).update(problem=problem[:60], tried_at=now, next_at=now + AGAIN_AFTER)


def answered_at(destination: RedisDestination, *, now: datetime) -> datetime | None:
    """Tell when a destination's servers last answered a look; None if the newest look failed or is long ago."""
    answered = _row(destination.pk).filter(problem="", told_at__gt=now - _STILL_ANSWERS)
    return answered.values_list("told_at", flat=True).first()


def _ask(destination: RedisDestination) -> list[Server]:
    deployment = connect(
        destinations.settings_of(destination),
        allow_private=settings.ALLOW_PRIVATE_ADDRESSES,
        forbidden=destinations.forbidden_addresses(),
        limits=_LIMITS,
    )
    try:
        return servers.look(deployment)
    finally:
        deployment.close()


def _with(history: Sequence[Sequence[int | None]], told: Sequence[Server], *, now: datetime) -> list[list[int | None]]:
    """Return the history with what was told now, unless the newest entry is young, and without what is too old."""
    seconds = int(now.timestamp())
    kept = [list(entry) for entry in history if (entry[0] or 0) > seconds - KEPT_FOR.total_seconds()]
    if kept and (kept[-1][0] or 0) > seconds - KEPT_EVERY.total_seconds():
        return kept
    return [*kept, [seconds, total([server.used for server in told]), total([server.keys for server in told])]]


def total(values: Sequence[int | None]) -> int | None:
    """Add up what the servers tell; unknown as soon as one does not."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _row(destination_id: int) -> QuerySet[ServerLook]:
    return ServerLook.objects.filter(destination_id=destination_id)
