"""Whether applications suddenly find far fewer of the people they ask for: hit rates by entity and id type.

From the counts by hour (`activation.usage`). The newest full hours are compared with the day before them, and with the
same hours of yesterday, so that a nightly job which asks for strangers is no news. Where too little was asked nothing
is said: a rate over few look-ups is noise.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from activation.models import UsageHour

FEWEST, FEWEST_BEFORE = 100, 500  # look-ups that a rate is made of: of the newest hours, and of the day before
WINDOWS = (1, 3, 6)  # full hours; the first with enough look-ups counts
# Processes write down what they counted every few seconds, and an hour is full once all of them did.
SETTLED_AFTER = timedelta(minutes=1)
# It fell when no more than half is left, ten points at least are gone, and chance alone would hardly ever do that.
_LEFT, _GONE, _DEVIATIONS = 0.5, 0.1, 5.0
_BACK = 0.75  # of what it was
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
Hours = Mapping[datetime, tuple[int, int]]  # the hour's beginning → look-ups that found a profile, and all answered


@dataclass(frozen=True)
class HitRate:
    """The share of look-ups that found a profile: in the newest full hours, before, and in the same ones yesterday.

    `look_ups` were answered in the newest `hours`. `before` and `yesterday` are None where too little was asked.
    """

    now: float
    look_ups: int
    hours: int
    before: float | None
    yesterday: float | None

    @property
    def fell(self) -> bool:
        """Tell whether it fell so far that somebody should know."""
        if self.before is None or self.before - self.now < _GONE:
            return False
        chance = math.sqrt(self.before * (1 - self.before) / self.look_ups)
        if self.before - self.now < _DEVIATIONS * chance:
            return False
        return all(self.now <= _LEFT * other for other in (self.before, self.yesterday) if other is not None)

    def is_back(self, before: float) -> bool:
        """Tell whether it is about what it was before it fell."""
        return self.now >= _BACK * before


def measure(destination_id: int, *, now: datetime) -> dict[tuple[str, str], HitRate]:
    """Return the hit rates of a destination by entity and id type, where enough was asked."""
    end = (now - SETTLED_AFTER).replace(minute=0, second=0, microsecond=0)
    rows = UsageHour.objects.filter(
        destination_id=destination_id, hour__lt=end, hour__gte=end - _DAY - max(WINDOWS) * _HOUR
    )
    by_hour: dict[tuple[str, str], dict[datetime, tuple[int, int]]] = {}
    for row in rows.values("entity", "id_type", "hour").annotate(found=Sum("hits"), missed=Sum("misses")).order_by():
        hours = by_hour.setdefault((row["entity"], row["id_type"]), {})
        hours[row["hour"]] = (row["found"], row["found"] + row["missed"])
    rates = ((of, _rate(hours, end=end)) for of, hours in by_hour.items())
    return {of: rate for of, rate in rates if rate is not None}


def _rate(hours: Hours, *, end: datetime) -> HitRate | None:
    for length in WINDOWS:
        begin = end - length * _HOUR
        newest, look_ups = _share(hours, begin, end, fewest=FEWEST)
        if newest is not None:
            before, _ = _share(hours, begin - _DAY, begin, fewest=FEWEST_BEFORE)
            yesterday, _ = _share(hours, begin - _DAY, end - _DAY, fewest=FEWEST)
            return HitRate(newest, look_ups, length, before, yesterday)
    return None


def _share(hours: Hours, begin: datetime, end: datetime, *, fewest: int) -> tuple[float | None, int]:
    """Return the hit rate from one time to another, None where there are too few look-ups, and how many those are."""
    counts = [counted for hour, counted in hours.items() if begin <= hour < end]
    found, asked = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return (found / asked if asked >= fewest else None), asked
