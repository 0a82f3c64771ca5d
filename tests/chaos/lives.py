"""Worker processes played in one process: each step is a *life*, which can end, sleep or be cut off at any boundary.

A boundary is crossed whenever the product talks to what survives it: a command to the destination and its reply, a
statement in the warehouse, a statement or commit in our database. A `Crash` is what nothing in the product may catch,
and once it was raised every further boundary raises it again: clean-up code runs, as it does not in a process that was
killed, and reaches nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from activation.engine.channel import Channel
from activation.engine.errors import DestinationUnreachable
from projects.warehouses.port import WarehouseUnreachable

ASLEEP_AT_MOST = 60.0


class Crash(BaseException):
    """The process is gone: nothing may catch this but whoever played it."""


class Side(StrEnum):
    """What a boundary leads to."""

    DESTINATION = "destination"
    WAREHOUSE = "warehouse"
    RECORDS = "records"


class What(StrEnum):
    """What happens to a life at a boundary. A cut makes one side fail for a while, as if it were away."""

    CRASH = "crash"
    SLEEP = "sleep"
    CUT_DESTINATION = "cut destination"
    CUT_WAREHOUSE = "cut warehouse"
    CUT_RECORDS = "cut records"


CUTS = {
    What.CUT_DESTINATION: Side.DESTINATION,
    What.CUT_WAREHOUSE: Side.WAREHOUSE,
    What.CUT_RECORDS: Side.RECORDS,
}


@dataclass(frozen=True)
class Plan:
    """What happens at the first fitting boundary from the `at`-th on (counted from 0); a cut lasts `length` calls.

    With `where` only boundaries whose name holds it are counted.
    """

    what: What
    at: int
    length: int = 1
    where: str = ""


@dataclass
class Life:
    """One process of ours, from its start to its end.

    `places` counts the boundaries it crossed; `end` is the one where it crashed or fell asleep.
    """

    plan: Plan | None = None
    places: int = 0
    end: str = ""
    crashed: bool = False
    slept: bool = False
    asleep: threading.Event = field(default_factory=threading.Event)
    awake: threading.Event = field(default_factory=threading.Event)
    _cut: int = 0

    def cross(self, side: Side, place: str) -> None:
        """Cross a boundary; raises what happens there."""
        if self.crashed:
            raise Crash(place)
        at, plan = self.places, self.plan
        if plan is not None and plan.where not in place:
            return
        self.places += 1
        if plan is None or at < plan.at:
            return
        if plan.what is What.CRASH:
            self.end = f"{side}: {place}"
            self.crashed = True
            raise Crash(place)
        if plan.what is What.SLEEP:
            self._sleep(f"{side}: {place}")
        elif CUTS[plan.what] is side and self._cut < plan.length and not _would_be_rolled_back(side, place):
            self._cut += 1
            raise _away(side)

    def _sleep(self, place: str) -> None:
        """Be suspended until woken. Not inside a transaction, which would hold up everybody else on SQLite."""
        if self.slept or _in_transaction():
            return
        self.slept, self.end = True, place
        self.asleep.set()
        if not self.awake.wait(ASLEEP_AT_MOST):
            raise AssertionError(f"nobody woke a life that slept at {place}")
        if self.crashed:
            raise Crash(place)


def _would_be_rolled_back(side: Side, place: str) -> bool:
    """Whether a statement was done inside a transaction: without its connection it would be undone at once."""
    return side is Side.RECORDS and place.startswith("after") and _in_transaction()


def _in_transaction() -> bool:
    raw = connection.connection
    if raw is None:
        return False
    return bool(raw.in_transaction if connection.vendor == "sqlite" else raw.info.transaction_status)


def _away(side: Side) -> Exception:
    match side:
        case Side.DESTINATION:
            return DestinationUnreachable("The connection was cut by the test.")
        case Side.WAREHOUSE:
            return WarehouseUnreachable("The connection was cut by the test.")
        case Side.RECORDS:
            return OperationalError("the connection was cut by the test")


_here = threading.local()


def current() -> Life | None:
    """The life that this thread plays."""
    return getattr(_here, "life", None)


def cross(side: Side, place: str) -> None:
    """Cross a boundary in the life of this thread, if it plays one."""
    life = current()
    if life is not None:
        life.cross(side, place)


@contextmanager
def living(life: Life) -> Iterator[Life]:
    """Play a life in this thread. A crash ends here, and takes its database connection with it."""
    _here.life = life
    try:
        with connection.execute_wrapper(_statement):
            yield life
    except Crash:
        assert life.crashed
    finally:
        _here.life = None
        if life.crashed:
            connection.close()


def _statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    place = " ".join(sql.split()[:3])
    cross(Side.RECORDS, f"before {place}")
    result = execute(sql, params, many, context)
    cross(Side.RECORDS, f"after {place}")
    return result


def install(patch: pytest.MonkeyPatch) -> None:
    """Put boundaries around the destination's connections and our database's commits."""
    send, close, commit = Channel.send, Channel.close, BaseDatabaseWrapper._commit  # type: ignore[attr-defined]  # Django's

    def sending(channel: Channel, packed: list[bytes], *, commands: int = 1) -> None:
        try:
            cross(Side.DESTINATION, "before a command")
        except DestinationUnreachable:
            close(channel)
            raise
        send(channel, packed, commands=commands)
        cross(Side.DESTINATION, "after a command")

    def reading(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading_(channel: Channel, *arguments: Any, **named: Any) -> Any:
            try:
                cross(Side.DESTINATION, "before a reply")
            except DestinationUnreachable:
                close(channel)
                raise
            reply = read(channel, *arguments, **named)
            cross(Side.DESTINATION, "after a reply")
            return reply

        return reading_

    def committing(wrapper: BaseDatabaseWrapper) -> None:
        try:
            cross(Side.RECORDS, "before a commit")
        except (Crash, OperationalError):
            wrapper.rollback()
            raise
        commit(wrapper)
        cross(Side.RECORDS, "after a commit")

    patch.setattr(Channel, "send", sending)
    patch.setattr(Channel, "read", reading(Channel.read))
    patch.setattr(Channel, "read_usual", reading(Channel.read_usual))
    patch.setattr(BaseDatabaseWrapper, "_commit", committing)
