"""What a sync would do, worked out in the warehouse: counts, columns that changed, NULLs, some documents.

Two snapshots are compared: the one just taken and the base. They need not have the same columns; compared are those
both have, by name and type. Nothing but tables of the preview's own is made, and nothing is read from Redis.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from activation.engine import delta_sql
from activation.engine import preview_sql as sql
from activation.engine.encoding import Encoder
from activation.engine.snapshots import values
from projects.warehouses.port import Column, Warehouse

SAMPLES = 10
_AT_ONCE = 200  # columns counted by one query: warehouses limit how long a row or a query may be


@dataclass(frozen=True)
class Side:
    """A snapshot: its table, the view's columns in their order, and its rows."""

    name: str
    columns: tuple[Column, ...]
    rows: int


@dataclass(frozen=True)
class Tables:
    """The tables that a preview makes beside its snapshot."""

    chosen: str
    differing: str
    sample: str


@dataclass(frozen=True)
class ColumnChange:
    """In how many of the changed rows a column differs, and in how many nothing else that counts does.

    `counts` tells whether the column counts in the comparison.
    """

    name: str
    rows: int
    alone: int
    counts: bool


@dataclass(frozen=True)
class Comparison:
    """What differs, in rows; `columns` are those that differ in any changed row, the most frequent first."""

    added: int
    changed: int
    removed: int
    unchanged: int
    columns: tuple[ColumnChange, ...] = ()


@dataclass(frozen=True)
class Document:
    """A profile as it is and as it would be, as JSON text; None where there is none. Personal data."""

    id: str
    before: str | None
    after: str | None

    def __repr__(self) -> str:
        """Tell nothing: an id or a trait must not get into a log."""
        return "Document(…)"


def compare(
    warehouse: Warehouse,
    tables: Tables,
    *,
    taken: Side,
    base: Side | None,
    ignored: frozenset[str] = frozenset(),
    same_hash: bool = False,
) -> Comparison:
    """Count what differs from the base, and in which columns; without a base everything is new.

    `ignored` columns do not make a row differ. `same_hash` tells that both snapshots' hashes are of the same columns
    and made in the same way: then only rows whose hashes differ are looked at.

    Raises:
        WarehouseError: as the warehouse says.

    """
    if base is None:
        return Comparison(added=taken.rows, changed=0, removed=0, unchanged=0)
    dialect = warehouse.dialect
    if same_hash:
        chosen = delta_sql.changed(dialect, snapshot=taken.name, base=base.name, dirty=())
    else:
        chosen = sql.matched(dialect, snapshot=taken.name, base=base.name)
    warehouse.create(tables.chosen, chosen, uses=[taken.name, base.name])
    [(_, new)] = warehouse.fetch(delta_sql.count_changed(dialect, tables.chosen), uses=[tables.chosen])
    added = _whole(new)
    changed, columns = _differing(warehouse, tables, taken, base, ignored)
    return Comparison(
        added=added,
        changed=changed,
        removed=base.rows - (taken.rows - added),
        unchanged=taken.rows - added - changed,
        columns=columns,
    )


def out_of_step(
    warehouse: Warehouse, tables: Tables, *, taken: Side, base: Side, dirty: Sequence[str]
) -> tuple[int, int]:
    """Count what an incremental sync does besides for the ids of the `dirty` tables, whose state is not known.

    These are rows that it writes although they are unchanged, and ids that it deletes although the base has none of
    them. `compare` was called before for the same tables. Raises `WarehouseError`.
    """
    query = sql.out_of_step(
        warehouse.dialect, snapshot=taken.name, base=base.name, differing=tables.differing, dirty=dirty
    )
    [(again, left)] = warehouse.fetch(query, uses=[taken.name, base.name, tables.differing, *dirty])
    return _whole(again), _whole(left)


def compare_part(
    warehouse: Warehouse, tables: Tables, *, written: Side, base: Side, ignored: frozenset[str]
) -> tuple[int, tuple[ColumnChange, ...]]:
    """Count how many rows of the first partition of a table of upserts differ from the base, and in which columns.

    Only ids that both have count. Raises `WarehouseError`.
    """
    dialect = warehouse.dialect
    warehouse.create(tables.chosen, sql.part_of(dialect, written.name, 0), uses=[written.name])
    return _differing(warehouse, tables, written, base, ignored)


def nulls(warehouse: Warehouse, side: Side) -> dict[str, int]:
    """Return how many of a snapshot's rows have NULL in each column. Raises `WarehouseError`."""
    found: dict[str, int] = {}
    for places in _portions(len(side.columns)):
        [counts] = warehouse.fetch(sql.count_values(warehouse.dialect, side.name, places), uses=[side.name])
        for place, count in zip(places, counts, strict=True):
            found[side.columns[place].name] = side.rows - _whole(count)
    return found


def documents(
    warehouse: Warehouse, tables: Tables, *, taken: Side, base: Side | None, found: Comparison
) -> list[Document]:
    """Return up to ten profiles before and after: changed, new and removed ones in turn, then whatever is there.

    `found` is what `compare` returned for the same tables. Raises `WarehouseError`.
    """
    ids = list(islice(_sample_ids(warehouse, tables, taken, base, found), SAMPLES))
    if not ids:
        return []
    warehouse.put_ids(tables.sample, ids)
    after = _read(warehouse, taken, tables.sample)
    before = _read(warehouse, base, tables.sample) if base else {}
    return [Document(row_id, before.get(row_id), after.get(row_id)) for row_id in ids]


def _sample_ids(
    warehouse: Warehouse, tables: Tables, taken: Side, base: Side | None, found: Comparison
) -> Iterator[str]:
    """Yield each id once."""
    dialect = warehouse.dialect
    groups: list[list[str]] = []
    if base is not None and found.changed:
        groups.append(_ids(warehouse, sql.first_ids(dialect, tables.differing, most=SAMPLES), tables.differing))
    if base is not None and found.added:
        query = sql.first_ids(dialect, tables.chosen, most=SAMPLES, where="_new")
        groups.append(_ids(warehouse, query, tables.chosen))
    if base is not None and found.removed:
        query = sql.first_gone(dialect, snapshot=taken.name, base=base.name, most=SAMPLES)
        groups.append(_ids(warehouse, query, taken.name, base.name))
    in_turn = [row_id for turn in zip_longest(*groups) for row_id in turn if row_id is not None]
    rest: list[str] = []
    if len(in_turn) < SAMPLES:
        rest = _ids(warehouse, sql.first_ids(dialect, taken.name, most=2 * SAMPLES), taken.name)
    yield from dict.fromkeys(chain(in_turn, rest))


def _differing(
    warehouse: Warehouse, tables: Tables, taken: Side, base: Side, ignored: frozenset[str]
) -> tuple[int, tuple[ColumnChange, ...]]:
    """Make the table of chosen rows that differ, and count them and the columns they differ in."""
    pairs = _pairs(taken, base)
    names = [taken.columns[place].name for place, _, _ in pairs]
    counted = [number for number, name in enumerate(names) if name not in ignored]
    select = sql.differing(
        warehouse.dialect, snapshot=taken.name, base=base.name, chosen=tables.chosen, pairs=pairs, counted=counted
    )
    changed = warehouse.create(tables.differing, select, uses=[taken.name, base.name, tables.chosen])
    return changed, _column_changes(warehouse, tables.differing, names, ignored) if changed else ()


def _column_changes(
    warehouse: Warehouse, differing: str, names: Sequence[str], ignored: frozenset[str]
) -> tuple[ColumnChange, ...]:
    found = []
    for numbers in _portions(len(names)):
        query = sql.count_differing(warehouse.dialect, differing, numbers)
        [(_, *counts)] = warehouse.fetch(query, uses=[differing])
        for position, number in enumerate(numbers):
            rows, alone = _whole(counts[2 * position]), _whole(counts[2 * position + 1])
            counts_in_it = names[number] not in ignored
            found.append(ColumnChange(names[number], rows, alone if counts_in_it else 0, counts_in_it))
    return tuple(sorted((each for each in found if each.rows), key=lambda each: -each.rows))


def _pairs(taken: Side, base: Side) -> list[sql.Pair]:
    """Pair the columns that both have by name and type."""
    places = {column: place for place, column in enumerate(base.columns)}
    return [(place, places[column], column.type) for place, column in enumerate(taken.columns) if column in places]


def _read(warehouse: Warehouse, side: Side, sample: str) -> dict[str, str]:
    """Read the sample's rows as a sync would write them: id → JSON text."""
    read = values(warehouse.dialect, side.columns)
    query = sql.rows_of(warehouse.dialect, side.name, sample, read)
    found: dict[str, str] = {}
    with Encoder(prefix="", values=read) as encoder:
        for batch in warehouse.stream(query, uses=[side.name, sample]):
            encoded = encoder.encode(batch)
            found |= zip(encoded.column("key").to_pylist(), encoded.column("json").to_pylist(), strict=True)
    return found


def _ids(warehouse: Warehouse, query: str, *uses: str) -> list[str]:
    return [str(row_id) for (row_id,) in warehouse.fetch(query, uses=uses)]


def _portions(count: int) -> list[range]:
    return [range(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is no whole number")
    return value
