"""What must not stay in a warehouse once its source is gone: tables that name people, kept for when it returns.

A removal leaves some of them for weeks, and its project may be deleted before. Which warehouses they are in is
therefore noted apart from the source. Only what is noted is ever dropped for having no source: a number that nobody
here knows may be that of an installation that shares the schema, or began as a copy of our database.
"""

from datetime import datetime, timedelta

import structlog
from django.db.models import Exists, OuterRef, Q

from activation.engine import snapshots
from activation.models import Source, SourceTables
from activation.run_faults import fault_of
from activation.run_resources import table_prefix
from projects import connections

log = structlog.get_logger(__name__)

_AGAIN_AFTER = timedelta(minutes=50)
_AT_ONCE = 20


def note(source: Source, *, now: datetime) -> None:
    """Note that the source's warehouse may have tables of it, also once the source is gone."""
    SourceTables.objects.update_or_create(
        warehouse=source.activation.project.warehouse, number=source.tables_number, defaults={"not_before": now}
    )


def sweep(*, now: datetime) -> None:
    """Drop the tables of sources that are gone; what a warehouse that is away still has is tried again."""
    number = OuterRef("number")
    its_source = Source.every_place.filter(Q(tables_of=number) | Q(tables_of=None, pk=number))
    gone = SourceTables.objects.exclude(Exists(its_source))
    for row in gone.filter(not_before__lte=now).select_related("warehouse").order_by("not_before")[:_AT_ONCE]:
        SourceTables.objects.filter(pk=row.pk).update(not_before=now + _AGAIN_AFTER)
        try:
            dropped = _drop(row)
        except Exception as error:  # noqa: BLE001 - one warehouse's trouble must not keep the others' tables
            code = fault_of(error, run=f"s{row.number}").code
            log.warning("tables_left_behind", warehouse=row.warehouse.public_id, code=code)
        else:
            # A worker that had not heard of the end may have made one meanwhile: until none is found.
            if not dropped:
                row.delete()


def _drop(row: SourceTables) -> int:
    """Drop every table of a source that is gone, and return how many there were."""
    with connections.open_warehouse(row.warehouse) as warehouse:
        names = warehouse.tables(table_prefix(row.number))
        for name in names:
            snapshots.drop(warehouse, name)
    return len(names)
