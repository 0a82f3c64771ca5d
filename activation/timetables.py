"""The four ways to say when a project is synced, as values: what they mean, when they are next due, how they are kept.

Knows neither a clock nor our records. Every time is UTC, so a change of clocks moves nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import chain, pairwise
from typing import TypeAlias

from croniter import CroniterError, croniter

INTERVALS: Mapping[int, str] = {
    5: "5 minutes",
    10: "10 minutes",
    15: "15 minutes",
    30: "30 minutes",
    60: "1 hour",
    180: "3 hours",
    360: "6 hours",
    720: "12 hours",
    1440: "24 hours",
}
LEAST_APART = timedelta(minutes=5)
LONGEST_EXPRESSION = 100

# How far an expression is followed to see that it comes and that it does not come too often.
_LOOKED_AT = 1000
_LOOKED_AHEAD = timedelta(days=10 * 365)
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_MEANINGS = ("0 to 59", "0 to 23", "1 to 31", "1 to 12 or JAN to DEC", "0 to 7 or SUN to SAT, where 0 and 7 are Sunday")
_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat"
_FIELD = re.compile(rf"(?:\d{{1,2}}|{'|'.join(_NAMES.split())}|[*/,-])+", re.ASCII | re.IGNORECASE)


class ExpressionRefused(ValueError):
    """A CRON expression that cannot be used; the message says what is wrong with it and what to write instead."""


@dataclass(frozen=True)
class AfterProfilesRuns:
    """After each successful Profiles run: nothing is due by the clock."""

    words = "after each Profiles run"

    def next_after(self, moment: datetime) -> datetime | None:
        """Return None."""
        return None

    def as_kept(self) -> dict[str, object]:
        """Return the empty object: it is what an activation begins with."""
        return {}


@dataclass(frozen=True)
class Manual:
    """Only when somebody asks for it."""

    words = "when somebody starts it"

    def next_after(self, moment: datetime) -> datetime | None:
        """Return None."""
        return None

    def as_kept(self) -> dict[str, object]:
        """Return it as an activation's row keeps it."""
        return {"kind": "manual"}


@dataclass(frozen=True)
class Basic:
    """Every so many minutes (one of `INTERVALS`): counted from a time of day, or without one from `since`."""

    minutes: int
    since: datetime
    start: time | None = None

    @property
    def words(self) -> str:
        """Say it: "every 30 minutes, counted from 03:10 UTC"."""
        counted = f", counted from {self.start:%H:%M} UTC" if self.start else ""
        return f"every {INTERVALS[self.minutes].removeprefix('1 ')}{counted}"

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after `moment`."""
        anchor = self.since
        if self.start is not None:  # every interval divides a day, so the day does not matter
            anchor = datetime.combine(self.since.astimezone(UTC), self.start, UTC)
        every = timedelta(minutes=self.minutes)
        return anchor + ((moment - anchor) // every + 1) * every

    def as_kept(self) -> dict[str, object]:
        """Return it as an activation's row keeps it."""
        start = f"{self.start:%H:%M}" if self.start else ""
        return {"kind": "basic", "minutes": self.minutes, "since": self.since.isoformat(), "start": start}


@dataclass(frozen=True)
class Cron:
    """Whenever an expression that `cron` has accepted says."""

    expression: str

    @property
    def words(self) -> str:
        """Say it: "at 30 3 * * 1-5 (UTC)"."""
        return f"at {self.expression} (UTC)"

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment`, or None when there is none for years."""
        return next(_occurrences(self.expression, moment), None)

    def as_kept(self) -> dict[str, object]:
        """Return it as an activation's row keeps it."""
        return {"kind": "cron", "expression": self.expression}


Timetable: TypeAlias = AfterProfilesRuns | Basic | Cron | Manual


def from_kept(kept: Mapping[str, object]) -> Timetable:
    """Return what an activation's row keeps."""
    match kept.get("kind"):
        case "basic":
            since = datetime.fromisoformat(str(kept["since"]))
            start = time.fromisoformat(str(kept["start"])) if kept["start"] else None
            return Basic(minutes=int(str(kept["minutes"])), since=since, start=start)
        case "cron":
            return Cron(str(kept["expression"]))
        case "manual":
            return Manual()
        case _:
            return AfterProfilesRuns()


def cron(text: str, *, now: datetime) -> Cron:
    """Read a CRON expression of five fields. Raises `ExpressionRefused`.

    It must come at all, and never twice within five minutes: of `0,1 * * * *` most gaps are long enough, one is not.
    """
    expression = " ".join(text.split()).upper()
    fields = expression.split(" ") if expression else []
    if len(fields) != len(_FIELDS):
        raise ExpressionRefused(
            f"A CRON expression has five fields: {', '.join(_FIELDS)}. This one has {len(fields)}. "
            "An example: 30 3 * * 1-5 is 03:30 UTC from Monday to Friday."
        )
    if len(expression) > LONGEST_EXPRESSION:
        raise ExpressionRefused(f"The expression is longer than {LONGEST_EXPRESSION} characters. Write it shorter.")
    for number, field in enumerate(fields):
        _check_field(number, field)
    times = list(_occurrences(expression, now))
    if not times:
        raise ExpressionRefused("No day matches this expression. Check the day of month and the month.")
    for one, other in chain(pairwise(times), _nights(expression, times, after=now)):
        if other - one < LEAST_APART:
            apart = int((other - one).total_seconds() // 60)
            raise ExpressionRefused(
                f"It would sync on {one.day} {one:%b %Y} at {one:%H:%M} and again at {other:%H:%M}, {apart} "
                f"minute{'s' if apart > 1 else ''} later. Leave at least 5 minutes between any two times."
            )
    return Cron(expression)


def coming(timetable: Timetable, *, after: datetime, count: int = 5) -> list[datetime]:
    """List the next times it is due."""
    times: list[datetime] = []
    while len(times) < count:
        following = timetable.next_after(times[-1] if times else after)
        if following is None:
            break
        times.append(following)
    return times


def _check_field(number: int, field: str) -> None:
    alone = ["*"] * len(_FIELDS)
    alone[number] = field
    if not _FIELD.fullmatch(field) or not croniter.is_valid(" ".join(alone)):
        raise ExpressionRefused(
            f"The {_FIELDS[number]} cannot be {field!r}. Use {_MEANINGS[number]}, also as lists (1,3), "
            "ranges (1-5), steps (*/15), or * for any."
        )


def _nights(expression: str, times: list[datetime], *, after: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the last time of a day and the first of the next, wherever an expression has two days in a row.

    Every day has the same times, of which `times` hold a whole day's; but where they are many, two days in a row may
    come later than the last of them.
    """
    first, last = min(moment.time() for moment in times), max(moment.time() for moment in times)
    days = _occurrences(" ".join(["0 0", *expression.split(" ")[2:]]), after)
    for one, other in pairwise(days):
        if other - one == timedelta(days=1):
            yield datetime.combine(one, last, UTC), datetime.combine(other, first, UTC)


def _occurrences(expression: str, after: datetime) -> Iterator[datetime]:
    """Yield the coming times of an expression, as far as it is followed."""
    until = after + _LOOKED_AHEAD
    try:
        times = croniter(expression, after)
        for _ in range(_LOOKED_AT):
            moment: datetime = times.get_next(datetime)
            if moment > until:
                return
            yield moment
    except CroniterError:
        return
