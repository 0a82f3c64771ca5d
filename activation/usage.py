"""Counts what applications ask for: in the process, at the cost of some additions, and written down every few seconds.

Nothing is asked of database, broker or cache when a request is counted. What a process counted and could not write is
kept and written with the next; what it counted in its last seconds is lost if it is killed.
"""

import atexit
import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import structlog
from django.conf import settings
from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction
from django.db.models import F
from django.utils import timezone

from activation.handle import Handle
from activation.models.usage import LATENCIES_MS, LATENCY_COLUMNS, UsageHour, counters
from activation.timing import spent

# More kinds of requests than this in five seconds are not told apart; with tokens of one organisation it is far away.
MOST_KINDS = 10_000
UNKNOWN = "unknown"
KEPT_FOR = timedelta(days=396)
Outcome = Literal["hit", "miss", "error"]
_COLUMN: Mapping[Outcome, str] = {"hit": "hits", "miss": "misses", "error": "errors"}
_ENDS = [end / 1_000 for end in LATENCIES_MS]
log = structlog.get_logger(__name__)


class Kind(NamedTuple):
    """What is counted together."""

    destination_id: int
    destination: str
    token_id: int
    entity: str
    id_type: str


@dataclass
class Collector:
    """What one process has counted and not written yet, and all it ever counted. Safe to use from many threads.

    What is counted now is kept apart from what could not be written, so that the totals only ever grow.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counts: dict[Kind, dict[str, int]] = field(default_factory=dict)
    _unwritten: dict[Kind, dict[str, int]] = field(default_factory=dict)
    _totals: dict[Kind, dict[str, int]] = field(default_factory=dict)

    def look_up(
        self,
        handle: Handle,
        token_id: int,
        entity: str,
        id_type: str,
        outcome: Outcome,
        seconds: float,
        *,
        times: int = 1,
    ) -> None:
        """Count a look-up and how long it took, or several that took it together."""
        spent.redis += seconds
        with self._lock:
            counts = self._of(handle, token_id, entity, id_type)
            counts["requests"] += times
            counts[_COLUMN[outcome]] += times
            counts[LATENCY_COLUMNS[bisect_left(_ENDS, seconds)]] += times

    def delete(self, handle: Handle, token_id: int, entity: str, id_type: str) -> None:
        """Count an id that was asked to be deleted."""
        with self._lock:
            self._of(handle, token_id, entity, id_type)["deletes"] += 1

    def write(self, *, now: datetime) -> int:
        """Write down what was counted; returns how many kinds of requests that were. Raises nothing."""
        with self._lock:
            counted, self._counts = self._counts, {}
            for kind, counts in counted.items():
                _sum(self._totals, kind._replace(token_id=0), counts)
            unwritten, self._unwritten = self._unwritten, {}
            for kind, counts in unwritten.items():
                _sum(counted, kind, counts)
        written = 0
        for kind, counts in list(counted.items()):
            try:
                _add(kind, counts, now=now)
            except (DatabaseError, InterfaceError) as error:
                log.info("usage_not_written", error=type(error).__name__)
                with self._lock:
                    self._unwritten = counted
                break
            del counted[kind]
            written += 1
        return written

    def _of(self, handle: Handle, token_id: int, entity: str, id_type: str) -> dict[str, int]:
        if (entity, id_type) not in handle.names:
            entity = id_type = UNKNOWN
        kind = Kind(handle.destination_id, handle.public_id, token_id, entity, id_type)
        counts = self._counts.get(kind)
        if counts is None:
            if len(self._counts) >= MOST_KINDS:
                kind = Kind(handle.destination_id, handle.public_id, 0, UNKNOWN, UNKNOWN)
            counts = self._counts.setdefault(kind, counters())
        return counts

    def totals(self) -> dict[Kind, dict[str, int]]:
        """Return what was counted since the process started, up to the last writing, all tokens together."""
        with self._lock:
            return {kind: dict(counts) for kind, counts in self._totals.items()}


def _sum(into: dict[Kind, dict[str, int]], kind: Kind, counts: Mapping[str, int]) -> None:
    present = into.setdefault(kind, counters())
    for name, count in counts.items():
        present[name] += count


def _add(kind: Kind, counts: Mapping[str, int], *, now: datetime) -> None:
    """Add to the hour's row, which another process may be making as well. A destination that is gone is forgotten."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    of_hour = {
        "destination_id": kind.destination_id,
        "token": kind.token_id,
        "entity": kind.entity,
        "id_type": kind.id_type,
        "hour": hour,
    }
    changed = {name: count for name, count in counts.items() if count}
    added = {name: F(name) + count for name, count in changed.items()}
    if UsageHour.objects.filter(**of_hour).update(**added):
        return
    try:
        with transaction.atomic():
            UsageHour.objects.create(**of_hour, **changed)
    except IntegrityError:
        UsageHour.objects.filter(**of_hour).update(**added)


def forget(*, now: datetime) -> None:
    """Delete what is older than a year and a month."""
    UsageHour.objects.filter(hour__lt=now - KEPT_FOR).delete()


def percentile(latencies: list[int], share: float) -> float | None:
    """Return the latency in ms that `share` of the look-ups did not exceed, between the ends that were counted."""
    total = sum(latencies)
    if not total:
        return None
    wanted, before = share * total, 0
    ends = (0.0, *LATENCIES_MS, 2 * LATENCIES_MS[-1])
    for low, high, count in zip(ends, ends[1:], latencies, strict=False):
        if count and before + count >= wanted:
            return low + (high - low) * (wanted - before) / count
        before += count
    return ends[-1]


_collector = Collector()
look_up = _collector.look_up
delete = _collector.delete
write = _collector.write
totals = _collector.totals
_ending = threading.Event()


def keep_writing() -> None:
    """Start the thread that writes every few seconds; call it once, in the process that serves requests."""
    if not settings.USAGE_WRITTEN_EVERY:
        return
    threading.Thread(target=_run, daemon=True, name="usage").start()
    atexit.register(_stop)


def _run() -> None:
    while not _ending.wait(settings.USAGE_WRITTEN_EVERY):
        _write_and_close()


def _stop() -> None:
    _ending.set()
    _write_and_close()


def _write_and_close() -> None:
    try:
        write(now=timezone.now())
    finally:
        connection.close()
