"""An organisation at a glance: every project with its sync and what applications ask of it, and what needs somebody.

In a fixed number of queries however many projects there are. All of them are summed up at each request, because what
needs somebody may be in any of them; a page shows some.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from accounts import lists
from accounts.actors import Actor
from activation import attention, standings, usage_totals
from activation.attention import Item
from activation.briefs import ActivationBrief
from activation.standings import Standing
from activation.usage_totals import Totals
from projects import access
from projects.access import ListedProject


@dataclass(frozen=True)
class Line:
    """A project, its switch if it was ever turned on, and where its sources stand; summed up for who asks.

    `asked_of` is what was asked of every destination, entity and id type in the last day.
    """

    project: ListedProject
    activation: ActivationBrief | None = None
    sources: Sequence[Standing] = ()
    asked_of: Mapping[tuple[int, str, str], Totals] = field(default_factory=dict)

    @cached_property
    def summary(self) -> standings.Summary | None:
        """Where its sync stands; None while it was never turned on."""
        return None if self.activation is None else standings.summary(self.activation, self.sources)

    @cached_property
    def asked(self) -> Totals:
        """What was asked of it in the last day.

        Two projects may serve the same id type of the same destination: what is asked of it counts for both.
        """
        served = {(row.source.destination_id, row.source.entity, row.source.id_type) for row in self.sources}
        return sum((self.asked_of[key] for key in served if key in self.asked_of), usage_totals.NOTHING)

    @property
    def on(self) -> bool:
        """Tell whether it is synced."""
        return self.activation is not None and self.activation.enabled

    @property
    def hit_percent(self) -> int | None:
        """Of the look-ups that were answered, how many in a hundred found a profile."""
        rate = self.asked.hit_rate
        return None if rate is None else round(100 * rate)


@dataclass(frozen=True)
class Overview:
    """All projects by name, what needs somebody, and what was asked of all destinations in the last day."""

    lines: list[Line]
    items: list[Item]
    asked: Totals

    @property
    def profiles(self) -> int:
        """How many profiles are served, each counted once for each feature view."""
        return sum(row.source.base_rows for line in self.lines for row in line.sources if row.source.active)

    @property
    def hit_percent(self) -> int | None:
        """Of the look-ups that were answered, how many in a hundred found a profile."""
        return None if self.asked.hit_rate is None else round(100 * self.asked.hit_rate)


def of(actor: Actor, *, now: datetime) -> Overview:
    """Sum up the actor's organisation."""
    projects = access.listed(actor)
    synced = {
        activation.project_id: (activation, own)
        for activation, own in standings.of_organisation(actor.organisation, now=now)
    }
    destinations = {activation.destination_id for activation, _ in synced.values()}
    asked = usage_totals.by_id_type(destinations, since=usage_totals.last_day(now=now))
    return Overview(
        lines=[
            Line(project, *synced[project.pk], asked) if project.pk in synced else Line(project) for project in projects
        ],
        items=attention.of(actor, projects, synced.values(), now=now),
        asked=sum(asked.values(), usage_totals.NOTHING),
    )


def found(lines: Sequence[Line], *, query: str, sort: str) -> list[Line]:
    """Return the lines whose project, destination or state has the words, sorted by a column's name ("-name": down)."""
    return lists.found(lines, query=query, sort=sort, text=_text, sorts=SORTS)


def _by_state(line: Line) -> tuple[object, ...]:
    place = standings.WORST_FIRST.index(line.summary.state) if line.summary else len(standings.WORST_FIRST)
    return (place, line.project.name.lower())


def _by_sync(line: Line) -> tuple[object, ...]:
    at = line.summary.synced_at if line.summary else None
    return (at.timestamp() if at else 0.0, line.project.name.lower())


SORTS: Mapping[str, Callable[[Line], tuple[object, ...]]] = {
    "name": lambda line: (line.project.name.lower(),),
    "state": _by_state,
    "profiles": lambda line: (line.summary.profiles if line.summary else -1, line.project.name.lower()),
    "synced": _by_sync,
    "requests": lambda line: (line.asked.requests, line.project.name.lower()),
    "found": lambda line: (line.asked.hit_rate if line.asked.hit_rate is not None else -1.0, line.project.name.lower()),
}


def _text(line: Line) -> str:
    words = [line.project.name, line.project.slug]
    if line.activation is not None and line.summary is not None:
        words += [line.activation.destination_name, line.summary.word]
    return " ".join(words).lower()
