"""Where a sync run's page leads: to the runs before and after it, and to where its error is repaired."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.roles import Permission
from activation import cures, syncs
from activation.models import RunState, SyncRun
from activation.preconditions import grants_sql


@dataclass(frozen=True)
class Repair:
    """What a failed run's page offers: a page to correct things at, SQL to run, and the next sync."""

    at: str = ""
    sql: str = ""
    may_sync: bool = False


@dataclass(frozen=True)
class Neighbours:
    """The runs of the same source before and after a run."""

    older: SyncRun | None
    newer: SyncRun | None


def neighbours(run: SyncRun) -> Neighbours:
    """Find the runs just before and just after one."""
    others = SyncRun.objects.filter(source=run.source_id)
    earlier = Q(queued_at__lt=run.queued_at) | Q(queued_at=run.queued_at, pk__lt=run.pk)
    later = Q(queued_at__gt=run.queued_at) | Q(queued_at=run.queued_at, pk__gt=run.pk)
    return Neighbours(
        older=_first(others.filter(earlier, queued_at__lte=run.queued_at), "-queued_at", "-pk"),
        newer=_first(others.filter(later, queued_at__gte=run.queued_at), "queued_at", "pk"),
    )


def repair(run: SyncRun, *, newer: SyncRun | None, by: Actor) -> Repair | None:
    """Say what can be done here and now about a run that failed; None once a newer run was made, or of a move."""
    if run.state != RunState.FAILED or newer is not None or run.source.other_place_of_id is not None:
        return None
    at = cures.place(run.error_code, run.error)
    allowed = at == cures.VIEWS or by.may(Permission.MANAGE_CREDENTIALS)
    return Repair(
        at=at if allowed else "",
        sql=grants_sql(run.source.activation.project) if run.error_code == "grant_missing" else "",
        may_sync=syncs.is_served(run.source) and by.may(Permission.RUN_SYNCS),
    )


def _first(runs: QuerySet[SyncRun], *order: str) -> SyncRun | None:
    return runs.order_by(*order).first()
