"""What follows a *Reconcile* that was confirmed: what was found goes to the sources' syncs, and tables go away.

A source's list of dirty tables may only change while no run of it is under way: a run reads the list at its start and
replaces it once everything in it is on record elsewhere. So the run that is to delete is queued first, in the same
transaction, and that there is one active run per source keeps every other one out.
"""

from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.actors import Actor
from accounts.vault import SecretUnreadable
from activation import reconcile_tables, reconciles, removals, syncs
from activation.engine import snapshots
from activation.engine.errors import DestinationError
from activation.models import Reconcile, Source, SyncRun
from activation.reconcile_looks import walk_of
from activation.run_resources import table_prefix, warehouse_of
from activation.syncs import AlreadyRunning
from projects.warehouses import port

log = structlog.get_logger(__name__)

_State = Reconcile.State
_AGAIN_AFTER = timedelta(seconds=30)
_ENDED = (_State.DONE, _State.FAILED, _State.CANCELLED)


def carry_on(*, now: datetime) -> None:
    """Hand over what was confirmed, as far as no sync is in the way; give up previews that nobody confirmed."""
    for row in Reconcile.objects.filter(state=_State.REMOVING, not_before__lte=now).select_related(
        "destination__organisation"
    ):
        hand_over(row, now=now)
    old = Reconcile.objects.filter(state=_State.READY, ready_at__lt=now - reconciles.PREVIEW_KEPT)
    old.update(state=_State.CANCELLED, finished_at=now)


def hand_over(row: Reconcile, *, now: datetime) -> bool:
    """Hand each source's findings to a run of it, and remove left bookkeeping; tell whether all of that is done.

    A source with an active run is waited for.
    """
    handed = [_hand_over_of(row, int(source_id), now=now) for source_id in _with_strays(row)]
    if not all(handed) or not _remove_bookkeeping(row, now=now):
        return False
    return bool(Reconcile.objects.filter(pk=row.pk, state=_State.REMOVING).update(state=_State.DONE, finished_at=now))


def waiting(*, now: datetime) -> list[int]:
    """List the looks that a worker is wanted for: to go on with, or to tidy up after."""
    queued = Reconcile.objects.filter(state=_State.QUEUED, not_before__lte=now)
    return list((queued | _untidy()).values_list("pk", flat=True))


def _untidy() -> QuerySet[Reconcile]:
    return Reconcile.objects.filter(state__in=_ENDED, tidied=False)


def _with_strays(row: Reconcile) -> list[str]:
    return [source_id for source_id, finding in row.findings.items() if finding.get("strays")]


def _hand_over_of(row: Reconcile, source_id: int, *, now: datetime) -> bool:
    """Tell whether a source's findings are handed over, now or before."""
    try:
        with transaction.atomic():
            present = Reconcile.objects.select_for_update().get(pk=row.pk)
            finding = present.findings[str(source_id)]
            if present.state != _State.REMOVING or "run" in finding:
                return True
            run = _start(row, source_id, finding["tables"], finding.get("lost", []), now=now)
            finding["run"] = "" if run is None else run.public_id
            Reconcile.objects.filter(pk=row.pk).update(findings=present.findings)
    except (AlreadyRunning, IntegrityError):
        return False
    return True


def _start(row: Reconcile, source_id: int, tables: list[str], lost: list[str], *, now: datetime) -> SyncRun | None:
    """Start the run that takes care of what is in `tables`; None where nobody is to do so any more.

    Raises `AlreadyRunning`, `IntegrityError`.
    """
    source = Source.objects.select_related("activation__project__organisation", "destination").filter(pk=source_id)
    found = source.first()
    if found is None:
        return None
    by = Actor.system(row.destination.organisation)
    if syncs.is_served(found):
        run = syncs.start(found, trigger=SyncRun.Trigger.RECONCILE, by=by, now=now)
        _add(source_id, tables)
        return run
    if found.status not in {Source.Status.REMOVING, Source.Status.REMOVED} or _written_by_another(found):
        return None
    run = removals.queue(found, trigger=SyncRun.Trigger.RECONCILE, by=by, now=now)
    if found.base_snapshot in lost:
        # Whatever it named and is still there was found, so the tables name it.
        Source.objects.filter(pk=source_id).update(base_snapshot="", base_rows=0, base_run=None)
    _add(source_id, tables, without=lost)
    return run


def _add(source_id: int, tables: list[str], *, without: list[str] | None = None) -> None:
    """Add tables of ids out of step to a source that has a run queued by this very transaction."""
    present = Source.objects.get(pk=source_id)
    kept = [name for name in present.dirty_tables if name not in (without or ())]
    Source.objects.filter(pk=source_id).update(dirty_tables=[*kept, *tables])


def _written_by_another(source: Source) -> bool:
    """Tell whether a removed source's field is some other source's by now."""
    others = Source.objects.filter(
        destination=source.destination_id,
        entity=source.entity,
        id_type=source.id_type,
        feature_view=source.feature_view,
    )
    return others.exclude(pk=source.pk).exclude(status=Source.Status.REMOVED).exists()


def _remove_bookkeeping(row: Reconcile, *, now: datetime) -> bool:
    """Remove the keys of sources that are gone. Public ids are random, so none of them ever comes back."""
    if not row.bookkeeping:
        return True
    try:
        with walk_of(row.destination) as walk:
            removed = walk.unlink(row.bookkeeping)
    except (DestinationError, SecretUnreadable) as error:
        log.info("bookkeeping_not_removed", reconcile=row.public_id, error=type(error).__name__)
        Reconcile.objects.filter(pk=row.pk).update(not_before=now + _AGAIN_AFTER)
        return False
    if Reconcile.objects.filter(pk=row.pk, state=_State.REMOVING).exclude(bookkeeping=[]).update(bookkeeping=[]):
        audit.record(
            "reconcile_bookkeeping_removed",
            by=Actor.system(row.destination.organisation),
            target_type="destination",
            target_id=row.destination.public_id,
            target=row.destination.name,
            details={"reconcile": row.public_id, "keys": removed},
            now=now,
        )
    return True


def tidy(reconcile_id: int) -> None:
    """Drop the tables of a look that has ended, but for those that a source counts on, and sources made for it alone.

    What cannot be dropped now is dropped by the sources' next syncs.
    """
    row = _untidy().filter(pk=reconcile_id).select_related("destination").first()
    if row is None:
        return
    for source in Source.objects.filter(pk__in=map(int, row.findings)).select_related("activation__project__warehouse"):
        try:
            _drop_tables(row, source)
        except port.WarehouseError as error:
            log.info("tables_left_behind", reconcile=row.public_id, code=error.code)
    made = Source.objects.filter(destination=row.destination, status=Source.Status.REMOVED, relation="", runs=None)
    if not row.destination.reconciles.filter(state__in=Reconcile.OPEN).exists():
        made.delete()
    Reconcile.objects.filter(pk=row.pk).update(tidied=True)


def _drop_tables(row: Reconcile, source: Source) -> None:
    with warehouse_of(source) as warehouse:
        for name in reconcile_tables.of(row.pk, warehouse.tables(table_prefix(source))):
            if not _is_counted_on(source, name):
                snapshots.drop(warehouse, name)


def _is_counted_on(source: Source, name: str) -> bool:
    return name in Source.objects.values_list("dirty_tables", flat=True).get(pk=source.pk)
