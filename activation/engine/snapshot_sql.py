"""The SELECTs behind `activation.engine.snapshots`, built from a dialect's expressions and names of ours.

The customer's names appear in one place only, where the view is read (`copied`); from there on columns are positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from projects.warehouses.port import Column, Dialect, Relation

# Every query below is put together from quoted catalogue names, names of ours and expressions of the dialect.
# ruff: noqa: S608

# Ids that fall into the same of so many buckets may be the same.
_ALIKE = 1 << 62


@dataclass(frozen=True)
class Shape:
    """The columns of a view, how its id is read, and which columns do not count in the row hash."""

    columns: tuple[Column, ...]
    id_column: str
    normalisation: tuple[str, ...]
    ignored: frozenset[str]


@dataclass(frozen=True)
class Base:
    """The snapshot that invalid ids are carried over from."""

    name: str
    columns: tuple[Column, ...]


def positional(columns: Sequence[Column]) -> list[Column]:
    """Return the columns as a snapshot has them: `c0`, `c1`, …, with their types."""
    return [Column(f"c{position}", column.type) for position, column in enumerate(columns)]


def rows(dialect: Dialect, relation: Relation) -> str:
    """Count a view's rows."""
    return f"SELECT count(*) FROM {dialect.relation(relation)}"


def copied(dialect: Dialect, relation: Relation, shape: Shape, *, partitions: int) -> str:
    """Read the view: `_id` (NULL where null or blank), `_hash`, `_part`, then `c0`, `c1` and so on."""
    at = positional(shape.columns)
    named = ", ".join(
        f"{dialect.quote(column.name)} AS {dialect.quote(place.name)}"
        for column, place in zip(shape.columns, at, strict=True)
    )
    rows = (
        f"SELECT {_id(dialect, shape)} AS {dialect.quote('_id')}, {_hash(dialect, shape)} AS {dialect.quote('_hash')}, "
        f"{_names(dialect, shape)} FROM (SELECT {named} FROM {dialect.relation(relation)}) v"
    )
    return _placed(dialect, shape, rows, partitions)


def copied_repeated(dialect: Dialect, name: str) -> str:
    """Count a copy's rows with an id, and how many ids may come more than once: where it says none, there are none.

    Ids are told apart by 62 bits, for every one has to be held at a time: among a hundred million, two look alike by
    chance once in a thousand snapshots. `copied_ids` knows better.
    """
    row_id, found = dialect.quote("_id"), dialect.quote("found")
    return (
        f"SELECT CAST(coalesce(sum({found}), 0) AS BIGINT), count(CASE WHEN {found} > 1 THEN 1 END) FROM ("
        f"SELECT count(*) AS {found} FROM {dialect.snapshot(name)} WHERE {row_id} IS NOT NULL "
        f"GROUP BY {dialect.bucket(row_id, _ALIKE)}) g"
    )


def copied_ids(dialect: Dialect, name: str) -> str:
    """Count a copy's ids: all, those repeated with identical rows, and those with differing rows."""
    found, low, high = (dialect.quote(column) for column in ("found", "low", "high"))
    return (
        f"SELECT count(*), count(CASE WHEN {found} > 1 AND {low} = {high} THEN 1 END), "
        f"count(CASE WHEN {low} <> {high} THEN 1 END) FROM ({_ids(dialect, name)}) g"
    )


def cleaned(
    dialect: Dialect, shape: Shape, name: str, *, partitions: int, repeated: bool, base: Base | None, keep: bool = False
) -> str:
    """Read a copy's valid rows, each id once, with `_part`; `repeated` tells whether any id comes more than once.

    With `keep` the base's rows whose ids are not in the copy are taken over as well.
    """
    row_id = dialect.quote("_id")
    if repeated:
        parts = _deduplicated(dialect, shape, name, base)
    else:
        parts = [f"SELECT {_row(dialect, shape, 's')} FROM {dialect.snapshot(name)} s WHERE s.{row_id} IS NOT NULL"]
    if keep and base is not None:
        parts.append(_kept(dialect, shape, name, base))
    return _placed(dialect, shape, " UNION ALL ".join(parts), partitions)


def _placed(dialect: Dialect, shape: Shape, rows: str, partitions: int) -> str:
    """Give rows of `_id`, `_hash` and the columns their `_part`, in the third place."""
    row_id = dialect.quote("_id")
    columns = f"{row_id}, {dialect.quote('_hash')}, {dialect.quote('_part')}, {_names(dialect, shape)}"
    part = dialect.bucket(f"r.{row_id}", partitions)
    return f"SELECT {columns} FROM (SELECT r.*, {part} AS {dialect.quote('_part')} FROM ({rows}) r) p"


def _id(dialect: Dialect, shape: Shape) -> str:
    position = [column.name for column in shape.columns].index(shape.id_column)
    text = dialect.id_text(positional(shape.columns)[position])
    for step in shape.normalisation:
        text = dialect.normalise(text, step)
    # Blanks sort before '!', bytewise, so hardly any id has to be trimmed to see that it is not blank.
    return f"CASE WHEN {text} >= '!' THEN {text} WHEN {dialect.normalise(text, 'trim')} = '' THEN NULL ELSE {text} END"


def _hash(dialect: Dialect, shape: Shape) -> str:
    columns = zip(shape.columns, positional(shape.columns), strict=True)
    return dialect.row_hash([place for column, place in columns if column.name not in shape.ignored])


def _names(dialect: Dialect, shape: Shape) -> str:
    return ", ".join(dialect.quote(column.name) for column in positional(shape.columns))


def _row(dialect: Dialect, shape: Shape, alias: str) -> str:
    names = ["_id", "_hash", *(column.name for column in positional(shape.columns))]
    return ", ".join(f"{alias}.{dialect.quote(name)}" for name in names)


def _ids(dialect: Dialect, name: str) -> str:
    """Group a copy's rows by id. A window in its place needs twice the memory and time (measured)."""
    row_id, row_hash = dialect.quote("_id"), dialect.quote("_hash")
    return (
        f"SELECT {row_id}, count(*) AS {dialect.quote('found')}, min({row_hash}) AS {dialect.quote('low')}, "
        f"max({row_hash}) AS {dialect.quote('high')} FROM {dialect.snapshot(name)} WHERE {row_id} IS NOT NULL "
        f"GROUP BY {row_id}"
    )


def _deduplicated(dialect: Dialect, shape: Shape, name: str, base: Base | None) -> list[str]:
    """Read ids that come once, one row of each id that comes with identical rows, and invalid ids' base rows.

    The window is over repeated ids only. Without a base an invalid id is left out.
    """
    row_id, low, high = dialect.quote("_id"), dialect.quote("low"), dialect.quote("high")
    many = f"({_ids(dialect, name)} HAVING count(*) > 1)"
    table = dialect.snapshot(name)
    row = _row(dialect, shape, "s")
    nth = f"row_number() OVER (PARTITION BY s.{row_id} ORDER BY s.{dialect.quote('_hash')})"
    once = (
        f"SELECT {row} FROM {table} s LEFT JOIN {many} m ON m.{row_id} = s.{row_id} "
        f"WHERE s.{row_id} IS NOT NULL AND m.{row_id} IS NULL"
    )
    kept = (
        f"SELECT {_row(dialect, shape, 'd')} FROM (SELECT {row}, {nth} AS {dialect.quote('_nth')} FROM {table} s "
        f"JOIN {many} m ON m.{row_id} = s.{row_id} WHERE m.{low} = m.{high}) d WHERE d.{dialect.quote('_nth')} = 1"
    )
    return [once, kept] if base is None else [once, kept, _carried(dialect, shape, name, base, many)]


def _carried(dialect: Dialect, shape: Shape, name: str, base: Base, many: str) -> str:
    """Read invalid ids' rows from the base."""
    row_id, low, high = dialect.quote("_id"), dialect.quote("low"), dialect.quote("high")
    return _from_base(dialect, shape, name, base, f"JOIN {many} m ON m.{row_id} = b.{row_id} WHERE m.{low} <> m.{high}")


def _kept(dialect: Dialect, shape: Shape, name: str, base: Base) -> str:
    """Read the rows of the base whose ids the view does not have any more."""
    return _from_base(dialect, shape, name, base, _not_in_copy(dialect, name))


def _not_in_copy(dialect: Dialect, name: str) -> str:
    row_id = dialect.quote("_id")
    there = f"(SELECT DISTINCT {row_id} FROM {dialect.snapshot(name)} WHERE {row_id} IS NOT NULL)"
    return f"LEFT JOIN {there} m ON m.{row_id} = b.{row_id} WHERE m.{row_id} IS NULL"


def count_kept(dialect: Dialect, name: str, base: str) -> str:
    """Count the ids of the base that are not in the copy."""
    return f"SELECT count(*) FROM {dialect.snapshot(base)} b {_not_in_copy(dialect, name)}"


def _from_base(dialect: Dialect, shape: Shape, name: str, base: Base, which: str) -> str:
    """Read rows of the base: common columns by name and type, else NULL, and the hash of the result.

    The empty first half gives the NULLs their types.
    """
    row_id = dialect.quote("_id")
    had = {column: f"b.{dialect.quote(f'c{position}')}" for position, column in enumerate(base.columns)}
    columns = ", ".join(had.get(column, "NULL") for column in shape.columns)
    names = _names(dialect, shape)
    return (
        f"SELECT {row_id}, {_hash(dialect, shape)} AS {dialect.quote('_hash')}, {names} FROM ("
        f"SELECT {row_id}, {names} FROM {dialect.snapshot(name)} WHERE 1 = 0 UNION ALL "
        f"SELECT b.{row_id}, {columns} FROM {dialect.snapshot(base.name)} b {which}) k"
    )
