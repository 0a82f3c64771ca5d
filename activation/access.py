"""The only way to a destination, a source or a sync run for a person or a token.

What belongs to another organisation looks exactly like what does not exist (404).
"""

from typing import TypeVar

from django.db.models import QuerySet
from django.http import Http404

from accounts.actors import Actor
from activation.models import Deletion, DestinationProbe, Preview, RedisDestination, Source, SyncRun

Thing = TypeVar("Thing")


def destinations_of(actor: Actor) -> QuerySet[RedisDestination]:
    """The destinations of the actor's organisation, by name."""
    return RedisDestination.objects.filter(organisation=actor.organisation).order_by("name")


def destination_for(actor: Actor, public_id: str) -> RedisDestination:
    """Return the organisation's destination of that id. Raises `Http404`."""
    return _found(destinations_of(actor).filter(public_id=public_id).first())


def source_for(actor: Actor, public_id: str) -> Source:
    """Return the organisation's source of that id. Raises `Http404`."""
    sources = Source.objects.select_related("activation__project", "destination")
    return _found(sources.filter(destination__organisation=actor.organisation, public_id=public_id).first())


def run_for(actor: Actor, public_id: str) -> SyncRun:
    """Return the organisation's sync run of that id. Raises `Http404`."""
    runs = SyncRun.objects.select_related(
        "source__activation__project", "source__destination", "source__other_place_of__destination", "profiles_run"
    )
    return _found(runs.filter(source__destination__organisation=actor.organisation, public_id=public_id).first())


def preview_for(actor: Actor, public_id: str) -> Preview:
    """Return the organisation's preview of that id. Raises `Http404`."""
    previews = Preview.objects.select_related("source__activation__project", "source__destination")
    return _found(previews.filter(source__destination__organisation=actor.organisation, public_id=public_id).first())


def probe_for(actor: Actor, public_id: str) -> DestinationProbe:
    """Return the organisation's connection test of that id. Raises `Http404`."""
    probes = DestinationProbe.objects.select_related("project", "destination")
    return _found(probes.filter(organisation=actor.organisation, public_id=public_id).first())


def deletion_for(actor: Actor, public_id: str) -> Deletion:
    """Return the organisation's cascading delete of that receipt. Raises `Http404`."""
    deletions = Deletion.objects.select_related("destination")
    return _found(deletions.filter(destination__organisation=actor.organisation, public_id=public_id).first())


def _found(thing: Thing | None) -> Thing:
    if thing is None:
        raise Http404
    return thing
