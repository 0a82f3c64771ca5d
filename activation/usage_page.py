"""What a destination's tab *Usage* shows: charts by hour, totals by id type, and the busiest tokens.

Names of tokens are shown to who may read them; what other people's tokens asked is told together.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from accounts import tokens
from accounts.actors import Actor
from accounts.charts import Chart, Series, Table
from accounts.models import PersonalAccessToken
from accounts.templatetags.components import NOTHING
from activation import usage_series
from activation.models import RedisDestination
from activation.models.usage import LATENCIES_MS
from activation.usage import UNKNOWN
from activation.usage_series import Asked, Use
from activation.usage_totals import NOTHING as NOTHING_ASKED
from activation.usage_totals import Totals, hours_back, share_words

MOST_TOKENS = 20
_HOUR = timedelta(hours=1)
_PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Range:
    """How far back the page looks; longer tables go by day."""

    label: str
    hours: int
    by_days: bool = True


RANGES = {"1d": Range("Last day", 24, by_days=False), "7d": Range("7 days", 7 * 24), "30d": Range("30 days", 30 * 24)}
DEFAULT_RANGE = "1d"


@dataclass(frozen=True)
class Line:
    """A row of a table: whose it is, and its numbers."""

    name: str
    use: Use
    detail: str = ""
    token: PersonalAccessToken | None = None

    @property
    def cells(self) -> list[str]:
        """Its requests, hits, misses, hit rate, errors, percentiles and deletes, as text."""
        return [*_counts(self.use), *_latencies(self.use), f"{self.use.totals.deletes:,}"]

    @property
    def token_cells(self) -> list[str]:
        """Its requests, hit rate, errors and deletes, as text."""
        totals = self.use.totals
        return [f"{totals.requests:,}", _rate(totals), f"{totals.errors:,}", f"{totals.deletes:,}"]


@dataclass(frozen=True)
class UsagePage:
    """What is shown; `charts` is empty where nothing was asked."""

    total: Line
    id_types: list[Line]
    tokens: list[Line]
    charts: list[Chart]

    @property
    def used_tokens(self) -> list[PersonalAccessToken]:
        """The tokens that may be chosen."""
        return [line.token for line in self.tokens if line.token]


def asked_of(destination: RedisDestination, given: Mapping[str, object], *, now: datetime) -> Asked:
    """Say what a valid form asks for; an empty one asks for the last day and everything."""
    span = range_of(given)
    token = given.get("token")
    return Asked(
        destination_id=destination.pk,
        since=hours_back(span.hours, now=now),
        entity=str(given.get("entity") or ""),
        id_type=str(given.get("id_type") or ""),
        token_id=token.pk if isinstance(token, PersonalAccessToken) else None,
    )


def range_of(given: Mapping[str, object]) -> Range:
    """Return the range that was chosen."""
    return RANGES[str(given.get("range") or DEFAULT_RANGE)]


def of(asked: Asked, span: Range, *, by: Actor, now: datetime) -> UsagePage:
    """Find out what is shown, in a fixed number of queries."""
    hours = usage_series.by_hour(asked, now=now)
    total = sum((use for _, use in hours), Use())
    id_types = [Line(_names(entity, id_type), use) for entity, id_type, use in usage_series.by_id_type(asked)]
    return UsagePage(
        total=Line("All together", total),
        id_types=id_types,
        tokens=_token_lines(usage_series.by_token(replace(asked, token_id=None)), by=by),
        charts=_charts(hours, span) if total.totals != NOTHING_ASKED else [],
    )


def as_csv(asked: Asked, *, now: datetime) -> str:
    """Write every hour as a row of a table; times are UTC's, latencies milliseconds."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["hour", "requests", "hits", "misses", "errors", "deletes", *(f"{p}_ms" for p in _PERCENTILES)])
    for hour, use in usage_series.by_hour(asked, now=now):
        totals = use.totals
        counts = [totals.requests, totals.hits, totals.misses, totals.errors, totals.deletes]
        latencies = ["" if each is None else f"{each:.2f}" for each in use.percentiles]
        writer.writerow([f"{hour:%Y-%m-%dT%H:%M:%SZ}", *counts, *latencies])
    return text.getvalue()


def _token_lines(used: Sequence[tuple[int, Totals]], *, by: Actor) -> list[Line]:
    """List the busiest tokens by name, and what others asked together."""
    by_id = tokens.named(by).in_bulk([number for number, _ in used[:MOST_TOKENS]])
    lines, rest = [], NOTHING_ASKED
    for number, totals in used:
        token = by_id.get(number)
        if token is None:
            rest += totals
        else:
            detail = token.owner.email + (" · deleted" if token.revoked_at else "")
            lines.append(Line(token.name, Use(totals), detail=detail, token=token))
    if rest != NOTHING_ASKED:
        lines.append(Line("All other tokens", Use(rest)))
    return lines


def _charts(hours: Sequence[tuple[datetime, Use]], span: Range) -> list[Chart]:
    uses = [use for _, use in hours]
    rows = list(_by_day(hours)) if span.by_days else list(reversed(hours))
    begins, ends = hours[0][0], hours[-1][0] + _HOUR

    def chart(title: str, series: Sequence[Series], heads: Sequence[str], cells: Callable[[Use], list[str]]) -> Chart:
        table = Table(
            ["Day (UTC)" if span.by_days else "Hour from", *heads], [(time, cells(use)) for time, use in rows]
        )
        return Chart(title, series, begins, ends, _number, table, by_days=span.by_days)

    requests = chart(
        "Requests by hour",
        [
            Series("Hits", "ok", [use.totals.hits for use in uses]),
            Series("Misses", "neutral", [use.totals.misses for use in uses]),
            Series("Errors", "failed", [use.totals.errors for use in uses]),
        ],
        ["Requests", "Hits", "Misses", "Errors"],
        lambda use: [f"{n:,}" for n in (use.totals.requests, use.totals.hits, use.totals.misses, use.totals.errors)],
    )
    rate = chart(
        "Hit rate by hour",
        [Series("Hit rate", "ok", [use.totals.hit_rate for use in uses])],
        ["Hit rate"],
        lambda use: [_rate(use.totals)],
    )
    latencies = zip(*(use.percentiles for use in uses), strict=True)
    looks = ("working", "ink", "attention")
    latency = chart(
        "Latency by hour",
        [Series(name, look, values) for name, look, values in zip(_PERCENTILES, looks, latencies, strict=True)],
        _PERCENTILES,
        _latencies,
    )
    return [replace(requests, stacked=True), replace(rate, unit=share_words, top=1), replace(latency, unit=_round_ms)]


def _by_day(hours: Sequence[tuple[datetime, Use]]) -> Iterator[tuple[str, Use]]:
    """Add up the hours of each day, UTC's, the newest first."""
    for day, group in groupby(reversed(hours), key=lambda hour: hour[0].astimezone(UTC).date()):
        yield f"{day.day} {day:%b}", sum((use for _, use in group), Use())


def _names(entity: str, id_type: str) -> str:
    return "Unknown names" if entity == id_type == UNKNOWN else f"{entity} by {id_type}"


def _counts(use: Use) -> list[str]:
    totals = use.totals
    return [f"{totals.requests:,}", f"{totals.hits:,}", f"{totals.misses:,}", _rate(totals), f"{totals.errors:,}"]


def _latencies(use: Use) -> list[str]:
    return [NOTHING if each is None else _ms(each) for each in use.percentiles]


def _rate(totals: Totals) -> str:
    return NOTHING if totals.hit_rate is None else share_words(totals.hit_rate)


def _ms(value: float) -> str:
    if value >= LATENCIES_MS[-1]:
        return f"over {LATENCIES_MS[-1]} ms"
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"  # noqa: PLR2004 - three digits are enough


def _round_ms(value: float) -> str:
    return f"{value:,.3g} ms"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value != int(value) else f"{value:,.0f}"
