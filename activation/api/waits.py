"""Waiting in a call for a worker: for some seconds, and in few of a process's threads at once.

Threads that wait are missing where profiles are read, so beyond `AT_ONCE` nobody waits: the call is answered at once
and its caller asks again.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.http import QueryDict

from activation.api.bodies import BodyInvalid

AT_ONCE = 2
LONGEST, USUAL = 30, 15
_LOOK_EVERY = 0.1
_slots = threading.BoundedSemaphore(AT_ONCE)
Seen = TypeVar("Seen")


def asked_for(asked: QueryDict, *, usual: int = USUAL) -> int:
    """Return the seconds a caller is ready to wait, from the query's `wait`. Raises `BodyInvalid`."""
    text = asked.get("wait", str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST)) and int(text) <= LONGEST):
        raise BodyInvalid(f"wait must be a whole number of seconds from 0 to {LONGEST}.")
    return int(text)


def until(ended: Callable[[Seen], bool], look: Callable[[], Seen], *, seconds: float) -> Seen:
    """Look until what is seen has ended or the time is over; return what was seen last."""
    seen = look()
    if ended(seen) or not seconds or not _slots.acquire(blocking=False):
        return seen
    try:
        deadline = time.monotonic() + seconds
        while not ended(seen) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
            seen = look()
    finally:
        _slots.release()
    return seen
