"""Template tags that show what a change changes: things in words, and a text line by line."""

from collections.abc import Iterable
from dataclasses import dataclass

from django import template

register = template.Library()

_WORDS = {"added": "Added", "changed": "Changed", "removed": "Removed"}


@dataclass(frozen=True)
class Line:
    """A line of a diff: `kind` is added, removed, place (where in the file it goes on) or empty for one that stays."""

    kind: str
    text: str


@register.inclusion_tag("components/changes.html")
def changes(rows: Iterable[object]) -> dict[str, object]:
    """List what is added, changed and removed; each row has `kind`, `what` and `note`."""
    return {"changes": [(row, _WORDS[row.kind]) for row in rows]}  # type: ignore[attr-defined]  # any row that has them


@register.inclusion_tag("components/diff.html")
def diff(text: str, label: str) -> dict[str, object]:
    """Show a unified diff with each line's sign, colour and, to a screen reader, word."""
    lines = text.split("\n")[2:]  # the first two name the texts
    return {"lines": [_line(line) for line in lines], "label": label}


def _line(line: str) -> Line:
    if line.startswith("@@"):
        start = line.partition("+")[2].partition(" ")[0].partition(",")[0]
        return Line("place", f"From line {start}")
    return Line({"+": "added", "-": "removed"}.get(line[:1], ""), line[1:])
