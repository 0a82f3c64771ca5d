"""The list of an organisation's destinations: where each stands, who uses it, and what it was asked in the last day.

In a fixed number of queries however many destinations, projects and sources there are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from accounts import lists
from accounts.actors import Actor
from activation import standings, usage_totals
from activation.access import destinations_of
from activation.briefs import ActivationBrief
from activation.models import DestinationMove, RedisDestination, ServerLook
from activation.standings import Synced
from activation.usage_totals import Totals


@dataclass(frozen=True)
class Line:
    """A destination, its state in a word, the projects that sync to it, and its figures."""

    destination: RedisDestination
    state: str
    word: str
    activations: list[ActivationBrief] = field(default_factory=list)
    sources: int = 0
    profiles: int = 0
    asked: Totals = field(default=usage_totals.NOTHING)

    @property
    def address(self) -> str:
        """Where it is reached."""
        return str(self.destination.settings.get("address", ""))

    @property
    def mode(self) -> str:
        """What kind of deployment it is, and what is special about it."""
        given = self.destination.settings
        kind = "Cluster" if given.get("clusterMode") else "Sentinel" if given.get("sentinelService") else "One server"
        extras = [word for name, word in (("secure", "TLS"), ("useJSONModule", "JSON")) if given.get(name)]
        return ", ".join((kind, *extras))

    @property
    def hit_rate(self) -> str:
        """The hit rate of the last day in words, nothing where nothing was answered."""
        rate = self.asked.hit_rate
        return "" if rate is None else usage_totals.share_words(rate)

    @property
    def text(self) -> str:
        """What a search looks through."""
        projects = (activation.project_name for activation in self.activations)
        return " ".join((self.destination.name, self.destination.public_id, self.address, self.word, *projects)).lower()


def of(actor: Actor, *, now: datetime) -> list[Line]:
    """List the actor's destinations by name."""
    rows = list(destinations_of(actor))
    synced: dict[int, list[Synced]] = {}
    for activation, own in standings.of_organisation(actor.organisation, now=now):
        synced.setdefault(activation.destination_id, []).append((activation, own))
    asked = usage_totals.by_destination([row.pk for row in rows], since=usage_totals.last_day(now=now))
    open_moves = DestinationMove.objects.filter(destination__in=rows, state__in=DestinationMove.OPEN)
    moving = set(open_moves.values_list("destination_id", flat=True))
    away = set(
        ServerLook.objects.filter(destination__in=rows).exclude(problem="").values_list("destination_id", flat=True)
    )
    return [
        _line(
            row,
            synced.get(row.pk, []),
            asked=asked.get(row.pk, usage_totals.NOTHING),
            moving=row.pk in moving,
            away=row.pk in away,
        )
        for row in rows
    ]


def _place(state: str) -> int:
    return standings.WORST_FIRST.index(state)


def found(lines: Sequence[Line], *, query: str, sort: str) -> list[Line]:
    """Return the lines that have all the words, sorted by a column's name ("-name": down)."""
    by_name = sorted(lines, key=SORTS["name"])
    return lists.found(by_name, query=query, sort=sort, text=lambda line: line.text, sorts=SORTS)


SORTS: Mapping[str, Callable[[Line], tuple[object, ...]]] = {
    "name": lambda line: (line.destination.name.lower(),),
    "state": lambda line: (_place(line.state),),
    "address": lambda line: (line.address,),
    "profiles": lambda line: (line.profiles,),
    "requests": lambda line: (line.asked.requests,),
    "hits": lambda line: (-1.0 if line.asked.hit_rate is None else line.asked.hit_rate,),
}


def _line(
    row: RedisDestination,
    synced: Sequence[Synced],
    *,
    asked: Totals,
    moving: bool,
    away: bool,
) -> Line:
    current = [standing.source for _, own in synced for standing in own if standing.source.active]
    summaries = [standings.summary(activation, own) for activation, own in synced]
    states = [(summary.state, summary.word) for summary in summaries]
    if away:
        states.append(("failed", "Not reached"))
    if moving:
        states.append(("working", "Being moved"))
    # Of states that are alike the last one counts: what is said of the whole before what is said of one project.
    state, word = min(reversed(states), key=lambda each: _place(each[0]), default=("neutral", "Not used"))
    return Line(
        destination=row,
        state=state,
        word=word,
        activations=[activation for activation, _ in synced],
        sources=len(current),
        profiles=sum(source.base_rows for source in current),
        asked=asked,
    )
