"""*Enable sync to Redis*: what must be there first, turning it on and off, and which sources a project has.

A source is never deleted here: one that the specification no longer names is retired, which ends its syncs and leaves
its data served until an Admin removes it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import removals, syncs
from activation.models import Activation, RedisDestination, Source, SyncRun
from activation.preconditions import Precondition, preconditions
from projects.models import Project
from projects.projects import ServedView, served_views

__all__ = ["Precondition", "preconditions"]


class NotReady(Exception):
    """The sync cannot be turned on yet. `unmet` lists what is missing, each with its cure."""

    def __init__(self, unmet: Sequence[Precondition]) -> None:
        super().__init__("The sync cannot be turned on yet. " + " ".join(each.message for each in unmet))
        self.unmet = list(unmet)


class FieldTaken(Exception):
    """Another project already writes the same feature view into the destination."""

    def __init__(self, view: ServedView, destination: RedisDestination) -> None:
        super().__init__(
            f"Another project already writes {view.feature_view} of {view.entity} by {view.id_type} into "
            f"{destination.name}. Use another destination, or turn the sync of that project off and remove it."
        )
        self.view, self.destination = view, destination


class DestinationFixed(Exception):
    """The project has already written to another destination."""

    def __init__(self, destination: RedisDestination) -> None:
        super().__init__(f"This project's profiles are in {destination.name}. Turn the sync on with that destination.")
        self.destination = destination


class DestinationForeign(Exception):
    """The destination is another organisation's. No page offers one; this is the last wall."""

    def __init__(self) -> None:
        super().__init__("A project syncs to a destination of its own organisation only.")


@transaction.atomic
def enable(project: Project, destination: RedisDestination, *, by: Actor, now: datetime) -> Activation:
    """Turn the sync on: one source per served view and id type, and a first sync of each.

    Raises `PermissionRefused`, `NotReady`, `DestinationFixed`, `DestinationForeign`, `FieldTaken`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    if not by.organisation.pk == project.organisation_id == destination.organisation_id:
        raise DestinationForeign
    unmet = [each for each in preconditions(project) if not each.met]
    if unmet:
        raise NotReady(unmet)
    activation = _switched_on(project, destination, by=by, now=now)
    sources = _follow(activation, by=by, now=now, refuse_taken=True)
    audit.record(
        "sync_enabled",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"destination": destination.public_id, "sources": len(sources)},
        now=now,
    )
    # One that is being removed is synced when that has ended.
    syncs.request_all(sources, trigger=SyncRun.Trigger.ENABLED, by=by, now=now)
    return activation


@transaction.atomic
def disable(project: Project, *, by: Actor, now: datetime, remove: bool = False, leave: bool = False) -> bool:
    """Turn the sync off; tell whether it was on. What is in Redis stays there and goes on being served.

    With `remove` the profiles that the project's sources wrote are removed as well, also when the sync was off
    already; with `leave` those that cannot be removed are left there for good. Raises `PermissionRefused`, `NotStuck`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    was_on = Activation.objects.filter(project=project, enabled=True).update(enabled=False)
    sources = Source.objects.filter(activation__project=project).select_related("activation", "destination")
    if remove:
        removals.start_all(list(sources), by=by, now=now)
    elif leave:
        removals.leave_all_behind(list(sources), by=by, now=now)
    if not was_on:
        return False
    audit.record(
        "sync_disabled",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        now=now,
    )
    return True


def follow_specifications(*, now: datetime) -> list[Activation]:
    """Bring the sources of every project that is on in step with its specification; return those that changed.

    A new view gets a source as soon as it is known where it is, a gone one is retired; a view at another place is
    synced anew.
    """
    behind = Activation.objects.filter(enabled=True).filter(
        ~Q(seen_revision=F("project__specification_revision"))
        | Q(seen_placements_at__isnull=True, project__placements_changed_at__isnull=False)
        | Q(seen_placements_at__lt=F("project__placements_changed_at"))
    )
    followed = []
    for activation in behind.select_related("project__organisation", "destination"):
        with transaction.atomic():
            by = Actor.system(activation.project.organisation)
            _follow(activation, by=by, now=now, refuse_taken=False)
        followed.append(activation)
    return followed


def _switched_on(project: Project, destination: RedisDestination, *, by: Actor, now: datetime) -> Activation:
    activation = Activation.objects.select_for_update().filter(project=project).select_related("destination").first()
    if activation is None:
        return Activation.objects.create(project=project, destination=destination, enabled_by=by.name, enabled_at=now)
    if activation.destination_id != destination.pk:
        if activation.sources.exclude(status=Source.Status.REMOVED).exists():
            raise DestinationFixed(activation.destination)
        activation.destination = destination
    activation.enabled, activation.enabled_by, activation.enabled_at = True, by.name, now
    activation.save(update_fields=["destination", "enabled", "enabled_by", "enabled_at"])
    return activation


def _follow(activation: Activation, *, by: Actor, now: datetime, refuse_taken: bool) -> list[Source]:
    """Make the sources be what the specification says; return the active ones."""
    project = activation.project
    views = served_views(project)
    present = {_field(source): source for source in activation.sources.all()}
    taken = _taken(activation, views)
    if taken and refuse_taken:
        raise FieldTaken(taken[0], activation.destination)
    for view in views:
        if view.relation is not None and view.id_column is not None and view not in taken:
            _bring(activation, view, present.get(_field(view)), by=by, now=now)
    served = {_field(view) for view in views}
    _retire([source for field, source in present.items() if field not in served], by=by, now=now)
    Activation.objects.filter(pk=activation.pk).update(
        seen_revision=project.specification_revision, seen_placements_at=project.placements_changed_at
    )
    return list(activation.sources.filter(status=Source.Status.ACTIVE).select_related("activation").order_by("pk"))


def _bring(activation: Activation, view: ServedView, source: Source | None, *, by: Actor, now: datetime) -> None:
    assert view.relation is not None
    place = {"relation": view.relation.name, "id_column": view.id_column or ""}
    if source is None:
        source = Source.objects.create(
            activation=activation,
            destination=activation.destination,
            entity=view.entity,
            id_type=view.id_type,
            feature_view=view.feature_view,
            created_at=now,
            **place,
        )
        _record("source_added", source, by=by, now=now)
        return
    moved = any(getattr(source, name) != value for name, value in place.items())
    if source.status == Source.Status.ACTIVE and not moved:
        return
    action = "source_moved" if source.status == Source.Status.ACTIVE else "source_returned"
    # Not having seen the newest Profiles run is what makes the tick start a sync.
    Source.objects.filter(pk=source.pk).update(
        status=Source.Status.ACTIVE,
        destination=activation.destination,
        full_next="view_moved" if moved else "view_returned",
        seen_profiles_run=None,
        **place,
    )
    _record(action, source, by=by, now=now)


def _retire(sources: Iterable[Source], *, by: Actor, now: datetime) -> None:
    for source in sources:
        if Source.objects.filter(pk=source.pk, status=Source.Status.ACTIVE).update(status=Source.Status.RETIRED):
            _record("source_retired", source, by=by, now=now)


def _taken(activation: Activation, views: Sequence[ServedView]) -> list[ServedView]:
    """List the views whose field in the destination another project writes."""
    others = Source.objects.filter(destination=activation.destination).exclude(
        Q(activation=activation) | Q(status=Source.Status.REMOVED)
    )
    fields = {_field(source) for source in others.filter(feature_view__in=[view.feature_view for view in views])}
    return [view for view in views if _field(view) in fields]


def _field(of: Source | ServedView) -> tuple[str, str, str]:
    return of.entity, of.id_type, of.feature_view


def _record(action: str, source: Source, *, by: Actor, now: datetime) -> None:
    audit.record(
        action,
        by=by,
        target_type="source",
        target_id=source.public_id,
        target=str(source),
        details={"entity": source.entity, "relation": source.relation, "id_column": source.id_column},
        now=now,
    )
