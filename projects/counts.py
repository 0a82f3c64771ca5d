"""*Count now*: how many rows a project's feature views have, and how many NULLs each column, asked for on a page.

Counting reads a view whole, so it is done when somebody asks, at most once a minute a view, and by the workers that
load, where it delays no tick. The row is the queue, as for checks. A count that takes too long is cancelled.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Timer
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from accounts.vault import SecretUnreadable
from projects.dialling import open_warehouse
from projects.models import CheckState, Project, ViewCount
from projects.placements import ServedView, served_views
from projects.warehouses import counts
from projects.warehouses.port import QueryCancelled, Relation, WarehouseError

LONGEST_SECONDS = 600.0
AGAIN_AFTER = timedelta(minutes=1)
WAKE_AFTER = timedelta(seconds=10)
STUCK_AFTER = timedelta(minutes=15)  # well beyond the longest count, connecting included
MAX_ATTEMPTS = 3


def request(project: Project, *, by: Actor, now: datetime) -> list[ViewCount]:
    """Ask for every view that was found to be counted; return those that wait now. The edge sends the wake-ups.

    Those that are being counted, or were asked for within a minute, are left alone. Raises `PermissionRefused`.
    """
    by.require(Permission.EDIT_PROJECTS)
    names = [view.feature_view for view in served_views(project) if view.relation is not None]
    asked = {"requested_by": by.name, "requested_at": now}
    with transaction.atomic():
        had = set(project.view_counts.values_list("feature_view", flat=True))
        new = [ViewCount(project=project, feature_view=name, **asked) for name in names if name not in had]
        ViewCount.objects.bulk_create(new, ignore_conflicts=True)
        again = project.view_counts.filter(feature_view__in=names, requested_at__lte=now - AGAIN_AFTER)
        queued = again.filter(state__in=(CheckState.PASSED, CheckState.FAILED)).update(
            state=CheckState.QUEUED, attempt=0, error="", **asked
        )
        if new or queued:
            audit.record(
                "feature_views_counted",
                by=by,
                target_type="project",
                target_id=project.public_id,
                target=project.name,
                details={"feature_views": len(new) + queued},
                now=now,
            )
    return list(project.view_counts.filter(state=CheckState.QUEUED, requested_at=now))


def of(project: Project, views: Sequence[ServedView]) -> dict[str, ViewCount]:
    """Return the counts of views by their names; figures of what a view was before it was placed anew are left out."""
    found = {count.feature_view: count for count in project.view_counts.all()}
    for view in views:
        count = found.get(view.feature_view)
        if count is not None and count.rows is not None and count.relation != _plain(view.relation):
            count.rows, count.columns, count.counted_at = None, [], None
    return found


def waiting(*, now: datetime) -> list[int]:
    """List counts whose wake-up was lost or whose worker was."""
    lost = Q(state=CheckState.QUEUED, requested_at__lt=now - WAKE_AFTER)
    return list(ViewCount.objects.filter(lost | _stuck(now)).order_by("requested_at").values_list("pk", flat=True)[:20])


def run(count_id: int, *, now: datetime) -> bool:
    """Count a view that waits or whose worker was lost; tell whether it was done here."""
    claimable = Q(state=CheckState.QUEUED) | _stuck(now)
    claimed = ViewCount.objects.filter(claimable, pk=count_id).update(
        state=CheckState.RUNNING, started_at=now, attempt=F("attempt") + 1
    )
    if not claimed:
        return False
    row = ViewCount.objects.select_related("project__warehouse").get(pk=count_id)
    try:
        found = _counted(row)
    except (WarehouseError, SecretUnreadable) as error:
        return _end(row, state=CheckState.FAILED, error=str(error)[:500])
    except Exception:
        # A fault of ours: the page says so instead of waiting, and the worker's log has the story.
        _end(row, state=CheckState.FAILED, error="Counting met an error of its own. Count again.")
        raise
    return _end(row, state=CheckState.PASSED, error="", counted_at=timezone.now(), **found)


def _counted(row: ViewCount) -> dict[str, Any]:
    """Return the figures as the row stores them. Raises `WarehouseError`, `SecretUnreadable`."""
    if row.attempt > MAX_ATTEMPTS:
        raise QueryCancelled("Counting was interrupted three times. Count again.")
    views = {view.feature_view: view for view in served_views(row.project)}
    view = views.get(row.feature_view)
    if view is None or view.relation is None:
        raise WarehouseError("The view is not known any more. Check the project, then count again.")
    with open_warehouse(row.project.warehouse) as warehouse:
        timer = Timer(LONGEST_SECONDS, warehouse.cancel)
        timer.daemon = True
        timer.start()
        try:
            found = counts.count(warehouse, view.relation)
        except QueryCancelled:
            raise QueryCancelled("Counting took longer than ten minutes and was cancelled.") from None
        finally:
            timer.cancel()
    columns = [
        {"name": column.name, "type": column.type, "nulls": nulls}
        for column, nulls in zip(found.columns, found.nulls, strict=True)
    ]
    return {"relation": _plain(view.relation), "rows": found.rows, "columns": columns}


def _plain(relation: Relation | None) -> list[str]:
    return [relation.schema, relation.name] if relation else []


def _stuck(now: datetime) -> Q:
    return Q(state=CheckState.RUNNING, started_at__lt=now - STUCK_AFTER)


def _end(row: ViewCount, **values: Any) -> bool:
    ours: QuerySet[ViewCount] = ViewCount.objects.filter(pk=row.pk, state=CheckState.RUNNING, attempt=row.attempt)
    return bool(ours.update(**values))
