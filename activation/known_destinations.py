"""What our database says about a destination, as far as reads and deletes need it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from activation.models import RedisDestination, Source

# (entity, id type) → the ways its sources normalise an id before they write it.
Names: TypeAlias = dict[tuple[str, str], set[tuple[str, ...]]]


@dataclass(frozen=True)
class Synced:
    """The last good sync of a feature view: its run, and when it ended."""

    run: str
    at: datetime


# (entity, id type) → its feature views, each with its last good sync, if there was one.
Views: TypeAlias = dict[tuple[str, str], dict[str, Synced | None]]


@dataclass(frozen=True)
class Found:
    """A destination's row, the names that its sources declare, and the row of its other place while it moves."""

    destination: RedisDestination
    names: Names
    synced: Views = field(default_factory=dict)
    other_place: RedisDestination | None = None


def look_up(organisation_id: int, public_id: str) -> Found | None:
    """Look a destination up by its organisation and public id."""
    destinations_there = RedisDestination.objects.select_related("other_place")
    destination = destinations_there.filter(organisation_id=organisation_id, public_id=public_id).first()
    if destination is None:
        return None
    names: Names = {}
    synced: Views = {}
    sources = Source.objects.filter(destination=destination).exclude(status=Source.Status.REMOVED)
    columns = ("entity", "id_type", "normalisation", "feature_view", "base_run__public_id", "base_run__finished_at")
    for entity, id_type, normalisation, view, run, at in sources.values_list(*columns):
        names.setdefault((entity, id_type), set()).add(tuple(normalisation))
        synced.setdefault((entity, id_type), {})[view] = Synced(run, at) if run and at else None
    return Found(destination, names, synced, getattr(destination, "other_place", None))
