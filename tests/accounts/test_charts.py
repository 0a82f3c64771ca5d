"""Charts: what is drawn where, and that whoever does not see it is told the same."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template

from accounts import charts
from accounts.charts import HEIGHT, Chart, Series, Table

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def chart(*series: Series, **options: object) -> Chart:
    table = Table(["Hour from", "Hits"], [(NOON, ["3"]), ("24 Nov", ["<b>"])])
    values = {"unit": "{:g} ms".format, "begins": NOON, "ends": NOON + timedelta(hours=8), "table": table, **options}
    return Chart("Requests", series, **values)  # type: ignore[arg-type]  # as the tests say


def shown(of: Chart) -> str:
    return Template("{% chart it %}").render(Context({"it": of}))


def test_a_line_goes_in_steps_from_the_top_for_the_most():
    assert charts.line([10, 10, 0, 5], top=10) == f"M0 0h2V{HEIGHT}h1V{HEIGHT // 2}h1"


def test_where_nothing_is_known_a_line_has_a_gap_and_one_hour_alone_is_seen():
    assert charts.line([None, 10, None, 10, 10], top=10) == "M1 0h1M3 0h2"
    assert charts.line([None, None], top=10) == ""


def test_stacked_series_lie_on_one_another_and_the_lower_ones_are_drawn_over_the_others():
    drawing = charts.draw(chart(Series("Hits", "ok", [6]), Series("Misses", "neutral", [2]), stacked=True))
    assert drawing.shapes == [("neutral", f"M0 0h1V{HEIGHT}H0Z"), ("ok", f"M0 {HEIGHT // 4}h1V{HEIGHT}H0Z")]
    assert drawing.scale == ["8 ms", "4 ms", "0 ms"]


@pytest.mark.parametrize(
    ("largest", "end"),
    [(0, 1), (0.3, 0.4), (1, 1), (1.2, 2), (3, 4), (9.5, 10), (10, 10), (11, 20), (6_531, 8_000), (95_000, 100_000)],
)
def test_a_scale_ends_at_a_round_number_not_far_above_the_most(largest, end):
    assert charts.scale_end(largest) == pytest.approx(end)


def test_the_words_tell_the_least_and_the_most():
    of = chart(
        Series("p50", "working", [1, None, 3]), Series("p95", "ink", [4, 4, 4]), Series("p99", "attention", [None])
    )
    assert charts.draw(of).words == "p50: from 1 ms to 3 ms. p95: 4 ms throughout. p99: nothing."


def test_a_drawing_has_a_name_a_description_a_legend_and_a_table():
    page = shown(chart(Series("Hits", "ok", [3.0] * 8)))
    [named] = re.findall(r'role="img"\s+aria-labelledby="([^"]+)"', page)
    for element in named.split():
        assert f'id="{element}"' in page
    assert "<desc" in page
    assert "Hits: 3 ms throughout." in page
    assert '<th scope="row"><time datetime="2026-11-24T12:00:00Z"' in page
    assert "24 Nov" in page
    assert "&lt;b&gt;" in page


def test_marks_of_time_are_spread_evenly_and_their_zone_is_told():
    page = shown(chart(Series("Hits", "ok", [1] * 8)))
    marks = re.findall(r'title="2026-11-24 (\d\d:00) UTC" data-moment="hour">(\d\d:00)<', page)
    assert marks[:5] == [(hour, hour) for hour in ("12:00", "14:00", "16:00", "18:00", "20:00")]
    assert 'data-moment="day">24 Nov<' in shown(chart(Series("Hits", "ok", [1] * 8), by_days=True))


def test_a_sparkline_says_what_it_shows_and_makes_no_mountain_of_a_value_that_hardly_moves():
    page = Template("{% sparkline values label %}").render(
        Context({"values": [100, 101, 100], "label": "Memory <in use>"})
    )
    assert 'aria-label="Memory &lt;in use&gt;"' in page
    heights = [int(height) for height in re.findall(r"[ V](\d+)", re.findall(r' d="([^"]+)"', page)[0])]
    assert max(heights) - min(heights) <= HEIGHT // 10
    assert min(heights) < HEIGHT // 2 < max(heights)  # beside the number, not above it
