"""What applications asked of destinations since a time, summed by the database: totals for pages and lists.

From the counts by hour (`activation.usage`), so a time means the hour it lies in. Alerts ask `activation.hit_rates`,
which compares full hours; both call the share of answered look-ups that found a profile the hit rate.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum

from activation.models import UsageHour

_HOUR = timedelta(hours=1)
COUNTED = ("requests", "hits", "misses", "errors", "deletes")  # in the order of `Totals`


@dataclass(frozen=True)
class Totals:
    """Counts of ids: `requests` were looked up, of which `hits` found a profile and `errors` got no answer."""

    requests: int = 0
    hits: int = 0
    misses: int = 0
    errors: int = 0
    deletes: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.requests + other.requests,
            self.hits + other.hits,
            self.misses + other.misses,
            self.errors + other.errors,
            self.deletes + other.deletes,
        )

    @property
    def hit_rate(self) -> float | None:
        """The share of answered look-ups that found a profile; None where nothing was answered."""
        answered = self.hits + self.misses
        return self.hits / answered if answered else None


NOTHING = Totals()


def hours_back(count: int, *, now: datetime) -> datetime:
    """Return the beginning of the first of so many hours, of which the present one is the last."""
    return now.replace(minute=0, second=0, microsecond=0) - (count - 1) * _HOUR


def last_day(*, now: datetime) -> datetime:
    """Return since when "the last day" counts: 24 hours, of which the present one is the last."""
    return hours_back(24, now=now)


def by_destination(destinations: Iterable[int], *, since: datetime) -> dict[int, Totals]:
    """Return the totals of each destination that was asked anything, by its primary key. One query."""
    return {key[0]: totals for key, totals in _summed(("destination_id",), destinations, since).items()}


def by_entity(destinations: Iterable[int], *, since: datetime) -> dict[tuple[int, str], Totals]:
    """Return the totals by destination's primary key and entity. One query."""
    return {
        (key[0], key[1]): totals for key, totals in _summed(("destination_id", "entity"), destinations, since).items()
    }


def by_id_type(destinations: Iterable[int], *, since: datetime) -> dict[tuple[int, str, str], Totals]:
    """Return the totals by destination's primary key, entity and id type. One query."""
    found = _summed(("destination_id", "entity", "id_type"), destinations, since)
    return {(key[0], key[1], key[2]): totals for key, totals in found.items()}


def _summed(fields: tuple[str, ...], destinations: Iterable[int], since: datetime) -> dict[tuple[Any, ...], Totals]:
    rows = UsageHour.objects.filter(destination_id__in=list(destinations), hour__gte=since).values_list(*fields)
    sums = {f"all_{name}": Sum(name) for name in COUNTED}
    return {row[: len(fields)]: Totals(*row[len(fields) :]) for row in rows.annotate(**sums).order_by()}


def share_words(share: float) -> str:
    """Write a share as people read it: 96 %, and 0.4 % rather than none."""
    return f"{100 * share:.1f} %" if 0 < share < 0.01 else f"{100 * share:.0f} %"  # noqa: PLR2004 - one per cent
