"""The list of a destination's sources: where each stands, the worst first.

In a fixed number of queries however many there are, all of which are looked at, because any may need somebody.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from accounts import lists
from accounts.actors import Actor
from accounts.roles import Permission
from activation import standings
from activation.models import RedisDestination, Source
from activation.standings import Standing


def of(actor: Actor, destination: RedisDestination, *, now: datetime) -> list[Standing]:
    """List the sources that write to a destination of the actor's, by entity and feature view."""
    actor.require(Permission.VIEW)
    return standings.of_sources(Source.objects.filter(destination=destination), now=now)


def found(rows: Sequence[Standing], *, query: str, sort: str) -> list[Standing]:
    """Return the rows that have all the words, sorted by a column's name ("-name": down), by state unless told."""
    return lists.found(rows, query=query, sort=sort, text=_text, sorts=SORTS)


def _text(row: Standing) -> str:
    source, project = row.source, row.activation
    words = (source.entity, source.feature_view, source.id_type, row.word, project.project_name, project.project_slug)
    return " ".join(words).lower()


SORTS: Mapping[str, Callable[[Standing], object]] = {
    "state": lambda row: standings.WORST_FIRST.index(row.state),
    "view": lambda row: row.source.feature_view.lower(),
    "id": lambda row: row.source.id_type.lower(),
    "profiles": lambda row: row.source.base_rows if row.source.base_run else -1,
    "synced": lambda row: row.synced_at.timestamp() if row.synced_at else 0.0,
    "project": lambda row: row.activation.project_name.lower(),
}
