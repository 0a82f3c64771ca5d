"""Columns that are better left out of the comparison: those in which alone nearly all changed rows differ.

Found by a preview, or after an incremental sync that wrote most of its rows. It must never cost a sync: what goes
wrong here is logged and forgotten.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import structlog

from activation.engine import previews, snapshots
from activation.engine.previews import ColumnChange, Side, Tables
from activation.models import SyncRun
from activation.run_faults import place_of
from activation.run_resources import columns_of, table_name, warehouse_of

ALONE_PERCENT = 95
FEWEST_CHANGED = 10

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Offer:
    """A column that is better left out: `percent` of the changed rows differ in it alone."""

    column: str
    percent: int


def among(columns: Iterable[ColumnChange], *, changed: int) -> Offer | None:
    """Return the column in which alone more than 95 % of at least ten changed rows differ."""
    if changed < FEWEST_CHANGED:
        return None
    found = (column for column in columns if column.alone * 100 > ALONE_PERCENT * changed)
    return next((Offer(column.name, int(100 * column.alone / changed)) for column in found), None)


def of_run(run: SyncRun) -> Offer | None:
    """Return the column that a run found to be better left out, if that is still not done."""
    offer = Offer(**run.offer) if run.offer else None
    return offer if offer and offer.column not in run.source.ignored_columns else None


def note(run: SyncRun) -> None:
    """Look for such a column after an incremental run that wrote at least half of its rows. Raises nothing.

    One partition is looked at: it is a fair sample, and costs the warehouse the same whatever the view's size. The
    run's own tables and the base it was compared with are still there.
    """
    written, there = run.rows_planned or 0, run.snapshot_rows or 0
    if run.kind != SyncRun.Kind.INCREMENTAL or written < FEWEST_CHANGED or 2 * written < there:
        return
    try:
        offer = _look(run)
    except Exception as error:  # noqa: BLE001 - an offer must never fail a sync, whatever it is
        log.warning("no_offer", run=run.public_id, error=type(error).__name__, at=place_of(error))
        return
    if offer is not None:
        run.offer = asdict(offer)
        SyncRun.objects.filter(pk=run.pk).update(offer=run.offer)


def _look(run: SyncRun) -> Offer | None:
    columns = columns_of(run.columns)
    tables = Tables(*(table_name(run, kind) for kind in ("offerids", "offerdiff", "offersample")))
    with warehouse_of(run.source) as warehouse:
        try:
            changed, found = previews.compare_part(
                warehouse,
                tables,
                written=Side(run.upserts_table, columns, run.rows_planned or 0),
                base=Side(run.base_snapshot, columns, 0),
                ignored=frozenset(run.source.ignored_columns),
            )
        finally:
            for name in (tables.chosen, tables.differing):
                snapshots.drop(warehouse, name)
    return among(found, changed=changed)
