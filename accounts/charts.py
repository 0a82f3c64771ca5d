"""Small charts that the server draws: values by time as steps, each value as wide as the time it stands for.

What is drawn is worked out here, in whole units; `templates/components/chart.html` says it in SVG, and beside it the
same in words and in a table, for those who do not see it. No colour is named here: a series has a look.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

HEIGHT = 100
TICKS = 4  # parts that the time line is divided into
# The four states and two neutrals. Lines also differ by their dashes, so that nobody needs the colours.
LOOKS = ("ok", "working", "attention", "failed", "neutral", "ink")
Values = Sequence[float | None]  # None: nothing is known


@dataclass(frozen=True)
class Series:
    """Values, oldest first, under a name; `look` is one of `LOOKS`."""

    name: str
    look: str
    values: Values


@dataclass(frozen=True)
class Table:
    """The same in numbers: each row begins with its time, or with text where that is no moment."""

    heads: Sequence[str]
    rows: Sequence[tuple[datetime | str, Sequence[str]]]


@dataclass(frozen=True)
class Chart:
    """What a chart shows. `unit` writes a value; `top` is the end of the scale, if it is not found from the values.

    `begins` and `ends` are the ends of the time line. With `stacked` the series lie on one another, the first at the
    bottom.
    """

    title: str
    series: Sequence[Series]
    begins: datetime
    ends: datetime
    unit: Callable[[float], str]
    table: Table
    note: str = ""
    top: float | None = None
    stacked: bool = False
    by_days: bool = False


@dataclass(frozen=True)
class Drawing:
    """A chart worked out: shapes in a box of `width` by `HEIGHT`, what stands at its edges, and the same in words."""

    width: int
    shapes: list[tuple[str, str]] = field(default_factory=list)  # look, path
    scale: list[str] = field(default_factory=list)  # from the top down
    ticks: list[datetime] = field(default_factory=list)
    words: str = ""


def draw(chart: Chart) -> Drawing:
    """Work out what a chart looks like."""
    rows = list(_stacks(chart.series)) if chart.stacked else [series.values for series in chart.series]
    top = chart.top or scale_end(max((value for row in rows for value in row if value is not None), default=0))
    draw_one = _area if chart.stacked else line
    shapes = [(series.look, draw_one(row, top=top)) for series, row in zip(chart.series, rows, strict=True)]
    length = chart.ends - chart.begins
    return Drawing(
        width=max((len(row) for row in rows), default=1),
        # What lies on top of others is drawn first, from the ground up, and they are drawn over it.
        shapes=shapes[::-1] if chart.stacked else shapes,
        scale=[chart.unit(top), chart.unit(top / 2), chart.unit(0)],
        ticks=[chart.begins + length * part / TICKS for part in range(TICKS + 1)],
        words=" ".join(_words(series, chart.unit) for series in chart.series),
    )


def line(values: Values, *, top: float) -> str:
    """Return the path of values as steps; where nothing is known there is a gap."""
    heights = [None if value is None else _y(value, top) for value in values]
    path, at, before = [], 0, None
    for height, run in groupby(heights):
        length = len(list(run))
        if height is not None:
            path.append(f"M{at} {height}" if before is None else f"V{height}")
            path.append(f"h{length}")
        at, before = at + length, height
    return "".join(path)


def scale_end(largest: float) -> float:
    """Return the smallest of 1, 2, 4, 6, 8, 10, 20, 40 … (or 0.8, 0.6 …) that is not below a value; 1 for nothing."""
    if largest <= 0:
        return 1
    size = 10.0 ** math.floor(math.log10(largest))
    return next(end for part in (1, 2, 4, 6, 8, 10, 20) if (end := part * size) >= largest)


def _area(values: Values, *, top: float) -> str:
    steps = line([value or 0 for value in values], top=top)
    return f"{steps}V{HEIGHT}H0Z" if steps else ""


def _stacks(series: Sequence[Series]) -> Iterator[list[float | None]]:
    """Yield each series on top of those before it."""
    below: list[float] = []
    for each in series:
        own = [value or 0 for value in each.values]
        below = [one + other for one, other in zip(below, own, strict=True)] if below else own
        yield list(below)


def _words(series: Series, unit: Callable[[float], str]) -> str:
    known = [value for value in series.values if value is not None]
    if not known:
        return f"{series.name}: nothing."
    least, most = unit(min(known)), unit(max(known))
    return f"{series.name}: {least} throughout." if least == most else f"{series.name}: from {least} to {most}."


def _y(value: float, top: float) -> int:
    return round(HEIGHT * (1 - min(value, top) / top))
