"""The look of a *Reconcile*: some seconds of walking at a time, each with what it found put on record.

A look may take hours, so a worker lets go of it after some seconds and another goes on from there: a worker that is
killed costs those seconds only. A worker that was given up records nothing when it wakes, for everything is
conditional on its attempt, and the tables it makes have names of their own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from activation import destinations, reconcile_tables, run_records, run_states
from activation.claims import Heartbeat
from activation.engine import profiles, reconcile
from activation.engine.keyspace import Position, Walk
from activation.engine.reconcile import Field, Place, Sorted, Sorter
from activation.models import Reconcile, RedisDestination, Source
from activation.reconciles import to_remove
from activation.run_faults import fault_of
from activation.run_resources import table_prefix, warehouse_of
from activation.syncs import is_served
from projects import main_views
from projects.specification import from_plain
from projects.warehouses import port

log = structlog.get_logger(__name__)

_State = Reconcile.State
SLICE = 20.0  # seconds a worker walks before it lets others at its place
_COMPARED_AT_ONCE = 50_000
_MERGED_ABOVE = 16
_MOST_RETRIES = 8
# A look whose cluster moved slots meanwhile may have missed keys that went from one primary to another.
MOVED = "layout_changed"


def look(reconcile_id: int, *, now: datetime, clock: Callable[[], float] = time.monotonic) -> bool:
    """Go on with a look for some seconds, if it is there to take; tell whether there is more to do."""
    row = _claim(reconcile_id, now=now)
    if row is None:
        return False
    with Heartbeat(lambda: bool(_ours(row).update(heartbeat_at=Now()))) as heartbeat:
        try:
            return _look(row, heartbeat, until=clock() + SLICE, clock=clock)
        except Exception as error:  # noqa: BLE001 - whatever it is, the look must not wait for its worker for ever
            fault = fault_of(error, run=row.public_id)
            # A base that a sync replaced while it was compared with is the one thing that only looks final.
            again = fault.transient or isinstance(error, port.WarehouseError)
            _let_go(row, code=fault.code, message=fault.message, again=again, now=timezone.now())
            return False


def put_back_stalled(*, now: datetime) -> None:
    """Give up workers that sent no heartbeat for the lease."""
    lost = Now() - timedelta(seconds=settings.SYNC_LEASE)
    for row in Reconcile.objects.filter(state=_State.LOOKING, heartbeat_at__lt=lost):
        _let_go(
            row, code="worker_stalled", message="The worker that looked through Redis went away.", again=True, now=now
        )


def _claim(reconcile_id: int, *, now: datetime) -> Reconcile | None:
    rows = Reconcile.objects.filter(pk=reconcile_id, state=_State.QUEUED, not_before__lte=now)
    row = rows.select_related("destination__organisation").first()
    if row is None:
        return None
    if not rows.filter(attempt=row.attempt).update(state=_State.LOOKING, attempt=row.attempt + 1, heartbeat_at=Now()):
        return None
    row.state, row.attempt = _State.LOOKING, row.attempt + 1
    return row


def _ours(row: Reconcile) -> QuerySet[Reconcile]:
    return Reconcile.objects.filter(pk=row.pk, state=_State.LOOKING, attempt=row.attempt)


def _let_go(row: Reconcile, *, code: str, message: str, again: bool, now: datetime) -> None:
    if not again or row.retries >= _MOST_RETRIES:
        changed = _ours(row).update(
            state=_State.FAILED, error_code=code, error=message[:1000], finished_at=now, heartbeat_at=None
        )
        if changed:
            log.warning("reconcile_failed", reconcile=row.public_id, code=code)
        return
    _ours(row).update(
        state=_State.QUEUED,
        retries=F("retries") + 1,
        not_before=now + run_states.wait_before(row.retries),
        error_code=code,
        error=message[:1000],
        heartbeat_at=None,
    )


def _look(row: Reconcile, heartbeat: Heartbeat, *, until: float, clock: Callable[[], float]) -> bool:
    found, sorter = Sorted(), _sorter(row.destination)
    positions = {place: Position(**kept) for place, kept in row.positions.items()}
    tables = _Tables(row)
    with walk_of(row.destination) as walk:
        layout = walk.layout()
        for page in walk.pages(positions):
            sorter.sort(page.keys, found)
            positions[page.place] = page.position
            if found.held >= _COMPARED_AT_ONCE:
                tables.compare(found, heartbeat)
            if clock() > until or not heartbeat.ours:
                break
        through = all(place in positions and not positions[place].cursor for place in walk.places())
        moved = walk.layout() != layout or row.layout not in {"", layout}
    tables.compare(found, heartbeat)
    if through:
        tables.conclude(heartbeat)
    if not heartbeat.confirm():
        return False
    _put_on_record(row, found, positions, layout=layout, moved=moved, through=through)
    return not through


def walk_of(destination: RedisDestination) -> Walk:
    """Return a walk through everything that begins with a destination's ids; a context manager.

    Raises `accounts.vault.SecretUnreadable`.
    """
    return Walk(
        destinations.settings_of(destination),
        _own_prefix(destination),
        allow_private=settings.ALLOW_PRIVATE_ADDRESSES,
        forbidden=destinations.forbidden_addresses(),
    )


def _put_on_record(
    row: Reconcile, found: Sorted, positions: dict[str, Position], *, layout: str, moved: bool, through: bool
) -> None:
    unclaimed = {(entity, id_type, view): count for entity, id_type, view, count in row.unclaimed}
    for what, count in found.unclaimed.items():
        unclaimed[what] = unclaimed.get(what, 0) + count
    row.unclaimed = [[*what, count] for what, count in sorted(unclaimed.items())]
    row.bookkeeping = sorted({*row.bookkeeping, *found.bookkeeping})[: reconcile.MOST_NAMED]
    for name in ("keys", "shared", "foreign", "unreadable"):
        row.counts[name] = row.counts.get(name, 0) + getattr(found, name)
    row.warnings = sorted({*row.warnings, *([MOVED] if moved else [])})
    now = timezone.now()
    changes: dict[str, object] = {"state": _State.QUEUED, "not_before": now}
    if through:
        # With nothing to confirm there is nothing to wait for.
        waits = to_remove(row) > 0
        changes = {"state": _State.READY if waits else _State.DONE, "ready_at": now}
        changes |= {} if waits else {"finished_at": now}
    _ours(row).update(
        layout=layout,
        positions={place: asdict(position) for place, position in positions.items()},
        findings=row.findings,
        unclaimed=row.unclaimed,
        bookkeeping=row.bookkeeping,
        counts=row.counts,
        warnings=row.warnings,
        retries=0,
        error_code="",
        error="",
        heartbeat_at=None,
        **changes,
    )


class _Tables:
    """Compares ids with what is known of their sources, and keeps what is not known in tables in the warehouse."""

    def __init__(self, row: Reconcile) -> None:
        self._row = row
        self._made = 0

    def compare(self, found: Sorted, heartbeat: Heartbeat) -> None:
        """Compare the ids that were found so far, and forget them."""
        for source_id, ids in found.ids.items():
            finding = self._finding(source_id)
            finding["found"] = finding.get("found", 0) + found.found[source_id]
            source = _source(source_id)
            if source is None or not _is_comparable(source):
                finding["uncompared"] = finding.get("uncompared", 0) + len(ids)
                continue
            with warehouse_of(source, heartbeat) as warehouse:
                self._compare(source, warehouse, ids)
        found.ids.clear()
        found.found.clear()

    def conclude(self, heartbeat: Heartbeat) -> None:
        """Count what the tables of each source hold, each id once."""
        for source_id, finding in self._row.findings.items():
            source = _source(int(source_id))
            if source is None or not finding.get("tables"):
                continue
            with warehouse_of(source, heartbeat) as warehouse:
                self._merge(source, warehouse, above=1)
                finding["strays"] = reconcile.count_strays(warehouse, finding["tables"][0])
                if not is_served(source):
                    finding["lost"] = _lost(source, warehouse)

    def _compare(self, source: Source, warehouse: port.Warehouse, ids: Sequence[str]) -> None:
        finding = self._finding(source.pk)
        record = run_records.find(source, warehouse, prefix=table_prefix(source))
        known: list[str] = []
        if is_served(source):
            if record.base is None:
                finding["uncompared"] = finding.get("uncompared", 0) + len(ids)
                return
            known = [record.base, *record.known.dirty]
        for start in range(0, len(ids), _COMPARED_AT_ONCE):
            some = ids[start : start + _COMPARED_AT_ONCE]
            name = self._name(source, "strays")
            if reconcile.take_strays(warehouse, name=name, found=self._name(source, "found"), ids=some, known=known):
                finding.setdefault("tables", []).append(name)
        self._merge(source, warehouse, above=_MERGED_ABOVE)

    def _merge(self, source: Source, warehouse: port.Warehouse, *, above: int) -> None:
        finding = self._finding(source.pk)
        tables = finding.get("tables", [])
        if len(tables) > above:
            name = self._name(source, "strays")
            reconcile.merge_strays(warehouse, name=name, tables=tables)
            finding["tables"] = [name]

    def _finding(self, source_id: int) -> dict[str, Any]:
        finding: dict[str, Any] = self._row.findings.setdefault(str(source_id), {})
        return finding

    def _name(self, source: Source, kind: str) -> str:
        self._made += 1
        number = self._row.attempt * 1_000 + self._made
        return reconcile_tables.table_name(source.tables_number, self._row.pk, number, kind)


def _sorter(destination: RedisDestination) -> Sorter:
    """Return what tells whose a field is: by the sources there are, and the id types that projects declare."""
    sources = list(Source.objects.filter(destination=destination).order_by("pk"))
    # A removed source matters only while no other one writes its field.
    owners = {(source.entity, source.id_type, source.feature_view): source for source in sources if not _gone(source)}
    for source in sources:
        owners.setdefault((source.entity, source.id_type, source.feature_view), source)
    pairs = {(source.entity, source.id_type) for source in sources}
    for activation in destination.activations.select_related("project"):
        specification = activation.project.specification
        for entity in from_plain(specification).entities if specification else ():
            named = main_views.id_types(entity, activation.project.main_views)
            pairs |= {(entity.name, id_type) for id_type in named}
    return Sorter(
        _own_prefix(destination),
        [
            Field(source.pk, _prefix(destination, entity, id_type), view.encode())
            for (entity, id_type, view), source in owners.items()
        ],
        [Place(entity, id_type, _prefix(destination, entity, id_type)) for entity, id_type in sorted(pairs)],
        [source.public_id for source in sources],
    )


def _own_prefix(destination: RedisDestination) -> str:
    return f"{destination.workspace_id}:{destination.public_id}:"


def _prefix(destination: RedisDestination, entity: str, id_type: str) -> bytes:
    return profiles.prefix(destination.workspace_id, destination.public_id, entity, id_type).encode()


def _source(source_id: int) -> Source | None:
    sources = Source.objects.select_related("activation__project__warehouse", "destination")
    return sources.filter(pk=source_id).first()


def _gone(source: Source) -> bool:
    return source.status == Source.Status.REMOVED


def _is_comparable(source: Source) -> bool:
    """Tell whether it is known what there should be: what the base has, or nothing of a removed source.

    What a source that is off wrote is still served, and no sync would take care of what does not belong there.
    """
    return is_served(source) or source.status in {Source.Status.REMOVING, Source.Status.REMOVED}


def _lost(source: Source, warehouse: port.Warehouse) -> list[str]:
    """Return the tables on record that are gone, or not as they were."""
    record = run_records.find(source, warehouse, prefix=table_prefix(source))
    there = {record.base, *record.known.dirty}
    return [name for name in (source.base_snapshot, *source.dirty_tables) if name and name not in there]
