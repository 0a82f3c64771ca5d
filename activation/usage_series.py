"""What applications asked of one destination: hour by hour, by id type and by token, with how long it took.

Latencies are kept as counts by size, hour by hour and of each process; they are added up in the database, and a
percentile is worked out from the sum alone. Percentiles are never averaged.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet, Sum

from activation import usage
from activation.models.usage import LATENCIES_MS, LATENCY_COLUMNS, UsageHour
from activation.usage_totals import COUNTED, NOTHING, Totals

SHARES = (0.5, 0.95, 0.99)
_HOUR = timedelta(hours=1)
_NONE = (0,) * len(LATENCY_COLUMNS)
_SUMS = {f"all_{name}": Sum(name) for name in (*COUNTED, *LATENCY_COLUMNS)}


@dataclass(frozen=True)
class Use:
    """What was asked in some time: the totals, and the counts of look-ups by how long they took."""

    totals: Totals = NOTHING
    latencies: tuple[int, ...] = _NONE

    def __add__(self, other: "Use") -> "Use":
        both = zip(self.latencies, other.latencies, strict=True)
        return Use(self.totals + other.totals, tuple(one + two for one, two in both))

    @property
    def percentiles(self) -> tuple[float | None, ...]:
        """The latencies in ms that half, 95 % and 99 % of the look-ups did not exceed; the last end for what is beyond.

        None where there was no look-up.
        """
        found = (usage.percentile(list(self.latencies), share) for share in SHARES)
        return tuple(None if each is None else min(each, float(LATENCIES_MS[-1])) for each in found)


@dataclass(frozen=True)
class Asked:
    """Which look-ups and deletes are meant: of a destination since an hour, perhaps of some names or one token only."""

    destination_id: int
    since: datetime
    entity: str = ""
    id_type: str = ""
    token_id: int | None = None

    def rows(self) -> QuerySet[UsageHour]:
        """The counts that are meant."""
        rows = UsageHour.objects.filter(destination_id=self.destination_id, hour__gte=self.since)
        if self.entity:
            rows = rows.filter(entity=self.entity)
        if self.id_type:
            rows = rows.filter(id_type=self.id_type)
        if self.token_id is not None:
            rows = rows.filter(token=self.token_id)
        return rows


def by_hour(asked: Asked, *, now: datetime) -> list[tuple[datetime, Use]]:
    """Return every hour up to the present one, also those in which nothing was asked. One query."""
    found = {row[0]: _use(row[1:]) for row in asked.rows().values_list("hour").annotate(**_SUMS).order_by()}
    length = int((now - asked.since) / _HOUR) + 1
    hours = [asked.since + number * _HOUR for number in range(length)]
    return [(hour, found.get(hour, Use())) for hour in hours]


def by_id_type(asked: Asked) -> list[tuple[str, str, Use]]:
    """Return (entity, id type, what was asked), most requests first. One query."""
    rows = asked.rows().values_list("entity", "id_type").annotate(**_SUMS).order_by()
    found = [(row[0], row[1], _use(row[2:])) for row in rows]
    return sorted(found, key=lambda line: (-line[2].totals.requests, line[:2]))


def by_token(asked: Asked) -> list[tuple[int, Totals]]:
    """Return (the token's number, its totals), most requests first. One query."""
    sums = {name: _SUMS[name] for name in (f"all_{counted}" for counted in COUNTED)}
    found = [(row[0], Totals(*row[1:])) for row in asked.rows().values_list("token").annotate(**sums).order_by()]
    return sorted(found, key=lambda line: (-line[1].requests, line[0]))


def _use(sums: tuple[int, ...]) -> Use:
    return Use(Totals(*sums[: len(COUNTED)]), tuple(sums[len(COUNTED) :]))
