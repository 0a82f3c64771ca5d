"""What a new `pb_project.yaml` changes: the feature views that come to be served, those that end, and the lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff

from projects.specification import ProjectSpecification

# Comparing texts takes time that grows with the square of their lines at worst.
MOST_LINES = 1_000


@dataclass(frozen=True, order=True)
class Served:
    """A feature view by an id type: what becomes a source once the sync is on."""

    entity: str
    id_type: str
    view: str


@dataclass(frozen=True)
class Difference:
    """What changes. `lines` is a unified diff, or None where one of the texts is longer than `MOST_LINES`."""

    added: tuple[Served, ...]
    ended: tuple[Served, ...]
    lines: str | None


def between(before: ProjectSpecification, text_before: str, after: ProjectSpecification, text_after: str) -> Difference:
    """Compare two specifications with their texts."""
    served_before, served_after = _served(before), _served(after)
    return Difference(
        added=_without(served_after, served_before),
        ended=_without(served_before, served_after),
        lines=_lines(text_before.splitlines(), text_after.splitlines()),
    )


def _served(specification: ProjectSpecification) -> list[Served]:
    return [Served(entity.name, view.id_type, view.name) for entity, view in specification.views()]


def _without(views: Iterable[Served], others: Iterable[Served]) -> tuple[Served, ...]:
    left_out = set(others)
    return tuple(view for view in views if view not in left_out)


def _lines(before: list[str], after: list[str]) -> str | None:
    if max(len(before), len(after)) > MOST_LINES:
        return None
    return "\n".join(unified_diff(before, after, "before", "after", lineterm=""))
