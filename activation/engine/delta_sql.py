"""The SELECTs behind `activation.engine.deltas`: what changed between two snapshots, and which ids are gone.

Built from a dialect's expressions and names of ours only.
"""

from collections.abc import Sequence

from projects.warehouses.port import Dialect

# ruff: noqa: S608 - every query below is put together from names of ours and expressions of the dialect


def changed(dialect: Dialect, *, snapshot: str, base: str, dirty: Sequence[str]) -> str:
    """Read the ids to write, each once, with `_new` = 1 where the base has none of it.

    Those that are new or whose row hash differs, and those of the `dirty` tables whatever their row says.
    """
    row_id, row_hash, new = (dialect.quote(name) for name in ("_id", "_hash", "_new"))
    taken, before = dialect.snapshot(snapshot), dialect.snapshot(base)
    different = (
        f"SELECT s.{row_id} AS {row_id}, CASE WHEN b.{row_id} IS NULL THEN 1 ELSE 0 END AS {new} FROM {taken} s "
        f"LEFT JOIN {before} b ON b.{row_id} = s.{row_id} WHERE b.{row_id} IS NULL OR b.{row_hash} <> s.{row_hash}"
    )
    if not dirty:
        return different
    again = (
        f"SELECT s.{row_id} AS {row_id}, 0 AS {new} FROM {taken} s JOIN {before} b ON b.{row_id} = s.{row_id} "
        f"JOIN ({union(dialect, dirty)}) d ON d.{row_id} = s.{row_id} WHERE b.{row_hash} = s.{row_hash}"
    )
    return f"{different} UNION ALL {again}"


def count_changed(dialect: Dialect, name: str) -> str:
    """Count what `changed` made: all, and the new ones."""
    return f"SELECT count(*), count(CASE WHEN {dialect.quote('_new')} = 1 THEN 1 END) FROM {dialect.snapshot(name)}"


def upserts(dialect: Dialect, *, snapshot: str, chosen: str, columns: int, partitions: int) -> str:
    """Read the rows of the ids in `chosen` from a snapshot of so many columns, with `_part` anew."""
    row_id = dialect.quote("_id")
    names = ", ".join(f"s.{dialect.quote(f'c{position}')}" for position in range(columns))
    part = dialect.bucket(f"s.{row_id}", partitions)
    return (
        f"SELECT s.{row_id}, s.{dialect.quote('_hash')}, {part} AS {dialect.quote('_part')}, {names} "
        f"FROM {dialect.snapshot(snapshot)} s JOIN {dialect.snapshot(chosen)} c ON c.{row_id} = s.{row_id}"
    )


def deletes(
    dialect: Dialect, *, snapshot: str | None, known: Sequence[str], again: Sequence[str], partitions: int
) -> str:
    """Read the ids of the tables `known` and `again` that are not in the snapshot, each once, with `_part`.

    `_again` is 1 for those that only the tables `again` know: tables made by this very query, earlier.
    """
    row_id, old = dialect.quote("_id"), dialect.quote("_again")
    parts = [f"SELECT {row_id}, 0 AS {old} FROM {dialect.snapshot(name)}" for name in known]
    parts += [f"SELECT {row_id}, 1 AS {old} FROM {dialect.snapshot(name)} WHERE {old} = 0" for name in again]
    ids = f"({' UNION ALL '.join(parts)})"
    if len(parts) > 1:
        ids = f"(SELECT {row_id}, min({old}) AS {old} FROM {ids} u GROUP BY {row_id})"
    part = dialect.bucket(f"k.{row_id}", partitions)
    columns = f"k.{row_id} AS {row_id}, k.{old} AS {old}, {part} AS {dialect.quote('_part')}"
    if snapshot is None:
        return f"SELECT {columns} FROM {ids} k"
    return (
        f"SELECT {columns} FROM {ids} k LEFT JOIN {dialect.snapshot(snapshot)} s ON s.{row_id} = k.{row_id} "
        f"WHERE s.{row_id} IS NULL"
    )


def gone(dialect: Dialect, *, deletes: str, base: str) -> str:
    """Count the ids of the base among the deletes."""
    row_id = dialect.quote("_id")
    return (
        f"SELECT count(*) FROM {dialect.snapshot(deletes)} d JOIN {dialect.snapshot(base)} b ON b.{row_id} = d.{row_id}"
    )


def merged(dialect: Dialect, names: Sequence[str]) -> str:
    """Read the ids that the delete tables `names` brought up first, each once, in the shape of such a table."""
    row_id, old = dialect.quote("_id"), dialect.quote("_again")
    parts = [f"SELECT {row_id} FROM {dialect.snapshot(name)} WHERE {old} = 0" for name in names]
    return f"SELECT DISTINCT {row_id}, 0 AS {old}, 0 AS {dialect.quote('_part')} FROM ({' UNION ALL '.join(parts)}) u"


def rows(dialect: Dialect, name: str) -> str:
    """Count a table's rows."""
    return f"SELECT count(*) FROM {dialect.snapshot(name)}"


def strays(dialect: Dialect, *, found: str, known: Sequence[str]) -> str:
    """Read the ids of the table `found` that none of the tables `known` has."""
    row_id, table = dialect.quote("_id"), dialect.snapshot(found)
    if not known:
        return f"SELECT {row_id} FROM {table}"
    return (
        f"SELECT f.{row_id} AS {row_id} FROM {table} f LEFT JOIN ({union(dialect, known)}) k "
        f"ON k.{row_id} = f.{row_id} WHERE k.{row_id} IS NULL"
    )


def union(dialect: Dialect, names: Sequence[str]) -> str:
    """Read the ids of several tables, each once."""
    return " UNION ".join(f"SELECT {dialect.quote('_id')} FROM {dialect.snapshot(name)}" for name in names)
