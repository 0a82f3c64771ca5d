"""The SELECTs behind `activation.engine.previews`: which rows differ between two snapshots, and in which columns.

Built from a dialect's expressions and names of ours only; the two snapshots need not have the same columns.
"""

from collections.abc import Sequence

from activation.engine import delta_sql
from projects.warehouses.port import Column, Dialect, Value

# ruff: noqa: S608 - every query below is put together from names of ours and expressions of the dialect

# A pair of columns that both snapshots have: its place in the one, in the other, and its type.
Pair = tuple[int, int, str]


def matched(dialect: Dialect, *, snapshot: str, base: str) -> str:
    """Read every id of the snapshot, with `_new` = 1 where the base has none of it."""
    row_id, new = dialect.quote("_id"), dialect.quote("_new")
    return (
        f"SELECT s.{row_id} AS {row_id}, CASE WHEN b.{row_id} IS NULL THEN 1 ELSE 0 END AS {new} "
        f"FROM {dialect.snapshot(snapshot)} s LEFT JOIN {dialect.snapshot(base)} b ON b.{row_id} = s.{row_id}"
    )


def part_of(dialect: Dialect, name: str, number: int) -> str:
    """Read the ids of one partition of a table."""
    return f"SELECT {dialect.quote('_id')} FROM {dialect.snapshot(name)} WHERE {dialect.quote('_part')} = {number:d}"


def differing(
    dialect: Dialect, *, snapshot: str, base: str, chosen: str, pairs: Sequence[Pair], counted: Sequence[int]
) -> str:
    """Read the ids of the table `chosen` whose rows differ, with `d0`, `d1`, … = 1 where that pair of columns differs.

    `counted` are the pairs that count in the comparison; `_count` is how many of those differ, at least 1.
    """
    row_id, count = dialect.quote("_id"), dialect.quote("_count")
    flags = [dialect.quote(f"d{number}") for number in range(len(pairs))]
    hashes = [dialect.quote(f"h{number}") for number in range(len(pairs))]
    different = "".join(
        f", CASE WHEN s.{digest} <> b.{digest} THEN 1 ELSE 0 END AS {flag}"
        for digest, flag in zip(hashes, flags, strict=True)
    )
    taken = _hashed(dialect, snapshot, chosen, [Column(f"c{place}", type_) for place, _, type_ in pairs])
    before = _hashed(dialect, base, chosen, [Column(f"c{then}", type_) for _, then, type_ in pairs])
    total = _sum([flags[number] for number in counted])
    joined = f"SELECT s.{row_id} AS {row_id}{different} FROM ({taken}) s JOIN ({before}) b ON b.{row_id} = s.{row_id}"
    return f"SELECT * FROM (SELECT d.*, {total} AS {count} FROM ({joined}) d) q WHERE {count} > 0"


def count_differing(dialect: Dialect, name: str, numbers: Sequence[int]) -> str:
    """Count what `differing` made: all rows, then for each number those that differ there, and those in it alone."""
    counts = ["count(*)"]
    for number in numbers:
        flag = f"{dialect.quote(f'd{number}')} = 1"
        counts.append(f"count(CASE WHEN {flag} THEN 1 END)")
        counts.append(f"count(CASE WHEN {flag} AND {dialect.quote('_count')} = 1 THEN 1 END)")
    return f"SELECT {', '.join(counts)} FROM {dialect.snapshot(name)}"


def count_values(dialect: Dialect, name: str, places: Sequence[int]) -> str:
    """Count a snapshot's values that are not NULL, for each of some columns."""
    counts = ", ".join(f"count({dialect.quote(f'c{place}')})" for place in places)
    return f"SELECT {counts} FROM {dialect.snapshot(name)}"


def out_of_step(dialect: Dialect, *, snapshot: str, base: str, differing: str, dirty: Sequence[str]) -> str:
    """Count ids of the `dirty` tables: those whose row is as in the base, and those that neither snapshot has."""
    row_id = dialect.quote("_id")
    others = zip("sbx", (snapshot, base, differing), strict=True)
    joined = "".join(f" LEFT JOIN {dialect.snapshot(name)} {to} ON {to}.{row_id} = d.{row_id}" for to, name in others)
    same = f"s.{row_id} IS NOT NULL AND b.{row_id} IS NOT NULL AND x.{row_id} IS NULL"
    return (
        f"SELECT count(CASE WHEN {same} THEN 1 END), "
        f"count(CASE WHEN s.{row_id} IS NULL AND b.{row_id} IS NULL THEN 1 END) "
        f"FROM ({delta_sql.union(dialect, dirty)}) d{joined}"
    )


def first_ids(dialect: Dialect, name: str, *, most: int, where: str = "") -> str:
    """Read the first ids of a table; `where` names a column that must be 1."""
    row_id = dialect.quote("_id")
    condition = f" WHERE {dialect.quote(where)} = 1" if where else ""
    return f"SELECT {row_id} FROM {dialect.snapshot(name)}{condition} ORDER BY {row_id} LIMIT {most:d}"


def first_gone(dialect: Dialect, *, snapshot: str, base: str, most: int) -> str:
    """Read the first ids of the base that are not in the snapshot."""
    row_id = dialect.quote("_id")
    return (
        f"SELECT b.{row_id} FROM {dialect.snapshot(base)} b LEFT JOIN {dialect.snapshot(snapshot)} s "
        f"ON s.{row_id} = b.{row_id} WHERE s.{row_id} IS NULL ORDER BY b.{row_id} LIMIT {most:d}"
    )


def rows_of(dialect: Dialect, name: str, ids: str, values: Sequence[Value]) -> str:
    """Read a snapshot's rows whose ids are in the table `ids`: `_id`, then a column for each value."""
    row_id = dialect.quote("_id")
    read = "".join(f", {value.expression} AS {dialect.quote(f'v{place}')}" for place, value in enumerate(values))
    return (
        f"SELECT s.{row_id}{read} FROM {dialect.snapshot(name)} s "
        f"JOIN {dialect.snapshot(ids)} p ON p.{row_id} = s.{row_id}"
    )


def _hashed(dialect: Dialect, name: str, chosen: str, columns: Sequence[Column]) -> str:
    """Read the chosen rows of a snapshot with `h0`, `h1`, …: a hash of each column's value, never NULL."""
    row_id = dialect.quote("_id")
    hashes = "".join(
        f", {dialect.row_hash([column])} AS {dialect.quote(f'h{number}')}" for number, column in enumerate(columns)
    )
    return (
        f"SELECT t.{row_id} AS {row_id}{hashes} FROM {dialect.snapshot(name)} t "
        f"JOIN {dialect.snapshot(chosen)} c ON c.{row_id} = t.{row_id}"
    )


def _sum(terms: Sequence[str]) -> str:
    """Add terms up, nested evenly: warehouses limit how deep an expression goes, and a view may have 1,000 columns."""
    if not terms:
        return "0"
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_sum(terms[:middle])} + {_sum(terms[middle:])})"
