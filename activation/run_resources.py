"""What a run works with: its plan, its tables' names, its warehouse and the loader into its destination."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from activation import destinations, preview_tables, reconcile_tables, run_records
from activation.claims import Heartbeat
from activation.engine import snapshots
from activation.engine.loader import Bookkeeping, Claim, Loader
from activation.models import Installation, RunState, Source, SyncPartition, SyncRun
from activation.run_faults import ViewUnusable
from projects import connections
from projects.warehouses import port

_MADE_BY = re.compile(r"_r(\d+)_a(\d+)_(?!preview|found$|strays$)[a-z]+$")


def plan(source: Source, warehouse: port.Warehouse) -> snapshots.SnapshotPlan:
    """Plan a snapshot of the view as it is now. Raises `ViewUnusable`, `WarehouseError`."""
    relation = _relation(source)
    columns = warehouse.describe(relation)
    id_column = next((column.name for column in columns if column.name == source.id_column), None)
    if id_column is None:
        raise ViewUnusable(
            f"The view {relation.schema}.{relation.name} has no column {source.id_column!r} any more. "
            "Add it to the view again, or choose another id column under Entities."
        )
    return snapshots.SnapshotPlan(
        relation=relation,
        columns=tuple(columns),
        id_column=id_column,
        partition_rows=settings.PARTITION_ROWS,
        normalisation=tuple(source.normalisation),
        ignored_columns=frozenset(source.ignored_columns),
    )


def _relation(source: Source) -> port.Relation:
    return port.Relation(schema=source.activation.project.output_schema, name=source.relation)


def table_name(run: SyncRun, kind: str) -> str:
    """Name a table of the run's present attempt."""
    return snapshots.table_name(Installation.own_code(), run.source.tables_number, run.pk, run.attempt, kind)


@contextmanager
def warehouse_of(source: Source, heartbeat: Heartbeat | None = None) -> Iterator[port.Warehouse]:
    """Open the source's warehouse; a claim that is lost meanwhile cancels the statement that runs."""
    with connections.open_warehouse(source.activation.project.warehouse) as warehouse:
        if heartbeat is None:
            yield warehouse
            return
        heartbeat.on_lost = warehouse.cancel
        try:
            yield warehouse
        finally:
            heartbeat.on_lost = _nothing


def loader_of(source: Source) -> Loader:
    """Return a loader into the source's field of its destination; a context manager.

    At another place the bookkeeping is the source's own, too: after the switch it is found there.
    """
    destination = source.destination
    bookkeeping = Bookkeeping(destination.workspace_id, destination.public_id, source.served.public_id)
    return destinations.open_loader(destination, bookkeeping, field=source.feature_view)


def claim_of(partition: SyncPartition, *, attempt: int | None = None) -> Claim:
    """Return what the fence must say for a worker of this partition to write."""
    return Claim(
        run=partition.run.public_id,
        run_attempt=partition.run.attempt,
        partition=partition.number,
        partition_attempt=partition.attempt if attempt is None else attempt,
    )


def columns_of(kept: list[dict[str, str]]) -> tuple[port.Column, ...]:
    """Return columns as the engine takes them from how records keep them."""
    return tuple(port.Column(column["name"], column["type"]) for column in kept)


def table_prefix(of: Source | int) -> str:
    """Return what the names of all of a source's tables begin with, by the source or by their number."""
    number = of.tables_number if isinstance(of, Source) else of
    return f"activation_{Installation.own_code()}_s{number}_"


def drop_left_overs(run: SyncRun) -> None:
    """Drop the tables of the source's runs up to this one, and of its previews, that nothing needs any more.

    What cannot be dropped now goes with the next run. The next run, or the next attempt of this one, may have started
    meanwhile: what it makes is not to be touched, nor what this attempt made.
    """
    source = Source.every_place.select_related("activation__project__warehouse").get(pk=run.source_id)
    with warehouse_of(source) as warehouse:
        # In this order: what was handed over to the source by a look that has ended is seen as the source's.
        names = warehouse.tables(table_prefix(source))
        others = [*preview_tables.left_over(source.pk, names), *reconcile_tables.left_over(names)]
        keep = run_records.tables_to_keep(Source.every_place.select_related("activation").get(pk=run.source_id))
        if run.state == RunState.LOADING:
            keep |= {run.snapshot, run.upserts_table, run.deletes_table}
        made = ((name, _MADE_BY.search(name)) for name in names)
        of_runs = [name for name, by in made if by and (int(by[1]), int(by[2])) <= (run.pk, run.attempt)]
        for name in {*of_runs, *others} - keep:
            snapshots.drop(warehouse, name)


def drop_every_table(source: Source) -> None:
    """Drop all that was made in the warehouse for a source of which nothing is left. Raises `WarehouseError`."""
    with warehouse_of(source) as warehouse:
        for name in warehouse.tables(table_prefix(source)):
            snapshots.drop(warehouse, name)


def _nothing() -> None:
    """Do nothing: nothing is left to cancel."""
