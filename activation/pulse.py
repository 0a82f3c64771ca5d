"""The pulse of beat and workers: the tick leaves a mark in our cache, readiness looks for it.

A second mark tells when a tick last did all of its work; one that breaks every time has a pulse and does not.

A lost cache costs nothing but this knowledge, so nothing here ever raises.
"""

import time

from django.core.cache import cache
from django_redis.exceptions import ConnectionInterrupted

KEY = "pulse"
WELL_KEY = "pulse_well"
REMEMBERED_FOR = 3600
LATE_AFTER = 15.0


def beat() -> None:
    """Note that a worker just ran the tick that beat sent."""
    _note(KEY)


def went_well() -> None:
    """Note that a tick did all of its work."""
    _note(WELL_KEY)


def is_late() -> bool:
    """Tell whether no tick ran for a while, or whether one did cannot be known."""
    return _is_old(KEY)


def is_broken() -> bool:
    """Tell whether ticks run, but none did all of its work for a while."""
    return not _is_old(KEY) and _is_old(WELL_KEY)


def _note(key: str) -> None:
    try:
        cache.set(key, time.time(), REMEMBERED_FOR)
    except ConnectionInterrupted:
        return


def _is_old(key: str) -> bool:
    try:
        last = cache.get(key)
    except ConnectionInterrupted:
        return True
    return not isinstance(last, float) or time.time() - last > LATE_AFTER
