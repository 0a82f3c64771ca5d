"""Template tags for charts and sparklines; built in, as those of `components` are."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import charts
from accounts.templatetags.components import element_id

register = template.Library()


@register.inclusion_tag("components/chart.html")
def chart(shown: charts.Chart) -> dict[str, object]:
    """Draw a chart, with its legend and the same as a table."""
    return {
        "chart": shown,
        "drawing": charts.draw(shown),
        "height": charts.HEIGHT,
        "half": charts.HEIGHT // 2,
        "id": element_id("chart", shown.title),
    }


@register.inclusion_tag("components/sparkline.html")
def sparkline(values: Sequence[float | None], label: str) -> dict[str, object]:
    """Draw how a value moved, as tall as a line of text; `label` says it in words."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # A value that hardly moves is no mountain range: at least a tenth of it is the height.
    span = max(high - low, high / 10) or 1.0
    lowest = max(0.0, (low + high - span) / 2)  # so it is drawn at half the height
    moved = [None if value is None else value - lowest for value in values]
    return {"path": charts.line(moved, top=span), "width": len(values) or 1, "height": charts.HEIGHT, "label": label}


@register.simple_tag
def moment(value: datetime, *, by: str = "hour") -> SafeString:
    """Write when something on a time line was: its hour, its second or its day; a script has the reader's zone."""
    exact = value.astimezone(UTC)
    words = {"day": f"{exact.day} {exact:%b}", "second": f"{exact:%H:%M:%S} UTC"}.get(by, f"{exact:%H:%M}")
    return format_html(
        '<time datetime="{}" title="{} UTC" data-moment="{}">{}</time>',
        f"{exact:%Y-%m-%dT%H:%M:%SZ}",
        f"{exact:%Y-%m-%d %H:%M:%S}" if by == "second" else f"{exact:%Y-%m-%d %H:%M}",
        by,
        words,
    )
