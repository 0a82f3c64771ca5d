"""What a preview does: take a snapshot, compare it with the base, look at what a sync would decide.

It reads the view, the base and the bookkeeping in the destination; it makes tables of its own, drops them at its end,
and writes nothing else anywhere.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from activation import guard, preview_tables, run_plans, run_records
from activation.claims import Heartbeat
from activation.engine import previews, snapshots
from activation.engine.errors import DestinationError
from activation.engine.memory import may_drop
from activation.engine.previews import Comparison, Document, Side, Tables
from activation.engine.snapshots import SnapshotPlan, SnapshotReport
from activation.guard import NeedsConfirmation
from activation.models import Preview, Source, SyncRun
from activation.run_plans import Found
from activation.run_records import Record
from activation.run_resources import columns_of, loader_of, plan, table_prefix, warehouse_of
from projects.warehouses import port

# Longer documents are cut: they are for a person to look at.
_LONGEST_DOCUMENT = 20_000


@dataclass(frozen=True)
class Looked:
    """What a preview found: counts and names of columns as its row keeps them, and documents, which are personal."""

    result: dict[str, object]
    sample: str


@dataclass(frozen=True)
class _Held:
    """What the destination said; `asked` is False where it could not be asked."""

    asked: bool
    marker: str | None
    evictions: dict[str, int] | None
    may_evict: bool = False


def look(preview: Preview, heartbeat: Heartbeat) -> Looked:
    """Work a claimed preview out. Raises `WarehouseError`, `ViewUnusable`."""
    source = preview.source
    held = _ask(source)
    with warehouse_of(source, heartbeat) as warehouse:
        try:
            return _look(preview, warehouse, held)
        finally:
            heartbeat.on_lost = _nothing
            with suppress(port.WarehouseError):  # what cannot be dropped now goes with the next run or preview
                _drop(preview, warehouse)


def _look(preview: Preview, warehouse: port.Warehouse, held: _Held) -> Looked:
    source = preview.source
    record = run_records.find(source, warehouse, prefix=table_prefix(source))
    the_plan = plan(source, warehouse)
    name = preview_tables.name(preview)
    kept = columns_of(source.columns)
    report = snapshots.take(
        warehouse,
        the_plan,
        name=name,
        base=record.base,
        base_columns=kept,
        keep=guard.keeps_everybody(source),
        laid_out=False,
    )
    taken = Side(name, the_plan.columns, report.rows)
    base = Side(record.base, kept, record.base_rows) if record.base else None
    tables = Tables(*(preview_tables.name(preview, kind) for kind in ("ids", "diff", "sample")))
    found = previews.compare(
        warehouse,
        tables,
        taken=taken,
        base=base,
        ignored=the_plan.ignored_columns,
        same_hash=source.shape == run_plans.shape_of(source, the_plan),
    )
    shown = previews.documents(warehouse, tables, taken=taken, base=base, found=found)
    result = _counts(found, report, record) | _columns(warehouse, taken, base, found)
    result |= _decided(source, the_plan, record, held) | _stopped(source, found, record, report)
    if base and not result["full_reason"]:
        result |= _put_right(preview, warehouse, tables, taken, base, record)
    return Looked({**result, "samples": len(shown)}, json.dumps([asdict(_cut(document)) for document in shown]))


def _ask(source: Source) -> _Held:
    """Ask the destination what it holds, which writes nothing; a preview does without one that is away."""
    try:
        with loader_of(source) as loader:
            return _Held(True, loader.marker(), loader.evictions(), may_drop(loader.memory()))
    except DestinationError:
        return _Held(False, source.base_run.public_id if source.base_run else None, None)


def _counts(found: Comparison, report: SnapshotReport, record: Record) -> dict[str, object]:
    return {
        "base_rows": record.base_rows if record.base else None,
        "rows_in_view": report.rows_in_view,
        "rows": report.rows,
        "added": found.added,
        "changed": found.changed,
        "removed": found.removed,
        "unchanged": found.unchanged,
        "kept": report.kept,
        "null_ids": report.null_ids,
        "duplicate_ids": report.duplicate_ids,
        "invalid_ids": report.invalid_ids,
    }


def _columns(warehouse: port.Warehouse, taken: Side, base: Side | None, found: Comparison) -> dict[str, object]:
    """Tell what became of the columns: those that changed, came, went or have another type, and their NULLs."""
    now = previews.nulls(warehouse, taken)
    before = previews.nulls(warehouse, base) if base else {}
    types = {column.name: column.type for column in base.columns} if base else {}
    changed = [column for column in taken.columns if column.name in types]
    return {
        "columns": [asdict(column) for column in found.columns],
        "nulls": [{"name": name, "now": count, "before": before.get(name)} for name, count in now.items()],
        "new_columns": [name for name in now if base and name not in types],
        "gone_columns": [name for name in types if name not in now],
        "other_types": [column.name for column in changed if types[column.name] != column.type],
    }


def _decided(source: Source, the_plan: SnapshotPlan, record: Record, held: _Held) -> dict[str, object]:
    """Tell what the sync would be, and whether it also puts right what syncs that failed left behind."""
    found = Found(
        base=record.base is not None,
        record=record.complete,
        marker=held.marker,
        evictions=held.evictions,
        may_evict=held.may_evict,
    )
    decision = run_plans.decide(SyncRun(source=source), source, the_plan, found)
    out_of_step = bool(record.known.dirty or record.listed.ids)
    return {"full_reason": decision.reason, "destination_asked": held.asked, "out_of_step": out_of_step}


def _put_right(
    preview: Preview, warehouse: port.Warehouse, tables: Tables, taken: Side, base: Side, record: Record
) -> dict[str, object]:
    """Count what an incremental sync writes and deletes besides, for syncs that failed; a full one writes every row."""
    dirty = list(record.known.dirty)
    if record.listed.ids:
        dirty.append(preview_tables.name(preview, "listed"))
        warehouse.put_ids(dirty[-1], record.listed.ids)
    if not dirty:
        return {}
    again, left = previews.out_of_step(warehouse, tables, taken=taken, base=base, dirty=dirty)
    return {"written_again": again, "deleted_again": left}


def _stopped(source: Source, found: Comparison, record: Record, report: SnapshotReport) -> dict[str, object]:
    """Tell whether the guard would stop the sync."""
    try:
        guard.check(source, gone=found.removed, base_rows=record.base_rows, snapshot_rows=report.rows)
    except NeedsConfirmation:
        return {"guard_stops": True}
    return {"guard_stops": False}


def _cut(document: Document) -> Document:
    before, after = (text and text[:_LONGEST_DOCUMENT] for text in (document.before, document.after))
    return replace(document, before=before, after=after)


def _drop(preview: Preview, warehouse: port.Warehouse) -> None:
    """Drop what this attempt made, and what previews that are over left behind."""
    source_id = preview.source_id
    names = warehouse.tables(table_prefix(preview.source))
    own = {preview_tables.name(preview, kind) for kind in ("", "ids", "diff", "sample", "listed")}
    for name in own.intersection(names).union(preview_tables.left_over(source_id, names)):
        snapshots.drop(warehouse, name)


def _nothing() -> None:
    """Do nothing: what is left to do is quick, and not to be cancelled."""
