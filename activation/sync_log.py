"""The sync log: what each run did to each id, as rows in the customer's own warehouse, for as long as they want.

Written after a run succeeded and before its tables go, at most once. The log must never cost a sync: what goes wrong
here is a warning on the run. An id whose write failed is decrypted here and put back where it came from.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import structlog
from django.db.models import Q

from accounts import audit, vault
from accounts.actors import Actor
from accounts.roles import Permission
from activation.engine import snapshots, sync_logs
from activation.engine.sync_logs import Changes, Stamp
from activation.models import Activation, Installation, Source, SyncLogContent, SyncRun
from activation.run_faults import place_of
from activation.run_resources import table_name, warehouse_of
from projects.models import WarehouseKind
from projects.warehouses.port import LogOwner, Warehouse

WARNING = "sync_log_not_written"
LONGEST_KEPT = 365
_TIDIED_EVERY = timedelta(days=1)

log = structlog.get_logger(__name__)


def write(run: SyncRun, *, now: datetime) -> None:
    """Log a run that succeeded, where its project wants that, and forget what is too old. Raises nothing."""
    activation = run.source.activation
    if activation.sync_log == SyncLogContent.OFF:
        return
    try:
        wanted = _is_wanted(run, activation)
        tidying = _takes_tidying(activation, now=now)
        if wanted or tidying:
            name = sync_logs.log_name(Installation.own_code())
            with warehouse_of(run.source) as warehouse:
                if wanted:
                    _append(warehouse, name, run, everything=activation.sync_log == SyncLogContent.EVERYTHING)
                if tidying:
                    _forget(warehouse, name, activation, now=now)
    except Exception as error:  # noqa: BLE001 - the log must never fail a sync, whatever it is
        log.warning("sync_log_not_written", run=run.public_id, error=type(error).__name__, at=place_of(error))
        run.warnings = [*run.warnings, WARNING]
        SyncRun.objects.filter(pk=run.pk).update(warnings=run.warnings)


def configure(activation: Activation, *, content: SyncLogContent, days: int, by: Actor, now: datetime) -> None:
    """Say what is logged and for how many days it is kept. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_ACTIVATION)
    Activation.objects.filter(pk=activation.pk).update(sync_log=content, sync_log_days=days, sync_log_tidied_at=None)
    project = activation.project
    audit.record(
        "sync_log_changed",
        by=by,
        target_type="project",
        target_id=project.public_id,
        target=project.name,
        details={"content": content.value, "days": days},
        now=now,
    )


def place(installation: str, kind: str) -> str:
    """Say where the log is, for the person who reads it: a table, or the files that DuckDB has instead."""
    name = sync_logs.log_name(installation)
    return f"{name}_<day>_<source>_<run>.duckdb" if kind == WarehouseKind.DUCKDB else f"_rudderstack.{name}"


def _is_wanted(run: SyncRun, activation: Activation) -> bool:
    """Whether there is anything to log; a run that did nothing costs the warehouse nothing."""
    if activation.sync_log == SyncLogContent.EVERYTHING and run.rows_planned:
        return True
    return bool(run.deletes_planned or run.failed)


def _takes_tidying(activation: Activation, *, now: datetime) -> bool:
    """Whether it is this run's turn to forget what is too old: one a day."""
    due = Q(sync_log_tidied_at=None) | Q(sync_log_tidied_at__lte=now - _TIDIED_EVERY)
    return bool(Activation.objects.filter(due, pk=activation.pk).update(sync_log_tidied_at=now))


def _forget(warehouse: Warehouse, name: str, activation: Activation, *, now: datetime) -> None:
    """Forget what is too old of the project's own: others log in the same warehouse for as long as they want."""
    before = (now - timedelta(days=activation.sync_log_days)).astimezone(UTC).date()
    for source in activation.sources.all():
        warehouse.forget(name, owner=_owner(source), before=before)


def _owner(source: Source) -> LogOwner:
    return LogOwner(connection_id=source.public_id, short=f"s{source.pk}")


def _append(warehouse: Warehouse, name: str, run: SyncRun, *, everything: bool) -> None:
    failed = _put_failed(warehouse, run)
    changes = Changes(
        upserts=run.upserts_table or run.snapshot or None,
        deletes=run.deletes_table or None,
        base=run.base_snapshot if _is_there(warehouse, run.base_snapshot) else None,
        failed=failed,
    )
    assert run.finished_at is not None
    stamp = Stamp(
        owner=_owner(run.source),
        entry=f"r{run.pk}",
        run=run.public_id,
        started_at=run.snapshot_at or run.queued_at,
        finished_at=run.finished_at,
    )
    try:
        sync_logs.append(warehouse, name, changes, stamp, everything=everything)
    finally:
        for table in failed.values():
            snapshots.drop(warehouse, table)


def _is_there(warehouse: Warehouse, table: str) -> bool:
    """Tell whether a base is there: a run that was full because it was lost names it still."""
    return bool(table) and table in warehouse.tables(table)


def _put_failed(warehouse: Warehouse, run: SyncRun) -> dict[str, str]:
    """Put the ids whose write failed into tables of the run, one for each reason."""
    ids = defaultdict(list)
    for reason, encrypted in run.failed_ids.values_list("reason", "encrypted_id"):
        ids[reason].append(vault.decrypt(encrypted))
    tables = {reason: table_name(run, f"log{reason.replace('_', '')[:8]}") for reason in ids}
    for reason, table in tables.items():
        warehouse.put_ids(table, ids[reason])
    return tables
