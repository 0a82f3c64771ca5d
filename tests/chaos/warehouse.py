"""DuckDB near at hand: the product's SQL over a customer's file, without a process and files for each statement.

What starting DuckDB anew for each statement costs (10 ms) would make thousands of histories take hours. So one DuckDB
has the customer's file attached, and each table of ours is a database in its memory, under the name it would have as a
file. It belongs to the test and outlives every worker, as a warehouse does.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.port import Part, QueryFailed, RelationMissing, WarehouseUnreachable, own_table
from tests.chaos.lives import Side, cross

CATALOG = "customer"
# Of a batch, so that reading a partition takes several.
MOST_ROWS = 3


@dataclass
class Shelf:
    """The DuckDB that all of a history's warehouses use. `away` makes it unreachable."""

    file: Path
    away: bool = False
    on_view_read: Callable[[str], None] = lambda _: None
    _tables: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._instance = duckdb.connect(":memory:", config={"threads": 1})
        self._instance.execute("SET GLOBAL TimeZone = 'UTC'")
        self._instance.execute(f"ATTACH '{self.file}' AS {CATALOG} (TYPE duckdb)")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a connection of one's own."""
        return self._instance.cursor()

    def empty(self) -> None:
        """Drop every table of ours, and be there again."""
        self.away = False
        for name in list(self._tables):
            self.drop(name)

    def tables(self) -> list[str]:
        """List our tables."""
        return sorted(self._tables)

    def make(self, name: str, select: str, parameters: Sequence[object]) -> int:
        """Put what a query returns in the place of a table, whole; the query may read the one that is there."""
        if name in self._tables:
            unfinished = f"unfinished_{name}"
            self.make(unfinished, select, parameters)
            self.drop(name)
            rows = self.make(name, f"FROM {unfinished}.main.data", ())
            self.drop(unfinished)
            return rows
        with self.cursor() as cursor:
            cursor.execute(f"ATTACH ':memory:' AS {name}")
            try:
                counted = cursor.execute(f"CREATE TABLE {name}.main.data AS {select}", parameters).fetchone()
            except duckdb.Error:
                cursor.execute(f"DETACH {name}")
                raise
        self._tables.add(name)
        assert counted
        return int(counted[0])

    def drop(self, name: str) -> None:
        """Drop a table of ours; not being there is fine."""
        if name in self._tables:
            self._tables.remove(name)
            with self.cursor() as cursor:
                cursor.execute(f"DETACH {name}")

    def close(self) -> None:
        self._instance.close()


class NearWarehouse(DuckDBWarehouse):
    """The DuckDB adapter over the shelf: its statements are the product's, only where they run differs.

    Every call is a boundary.
    """

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf.file, folder=shelf.file.parent, snapshot_dir=shelf.file.parent)
        self._shelf = shelf
        self._cursor = shelf.cursor()

    def tables(self, prefix: str) -> list[str]:
        self._reach("tables")
        return [name for name in self._shelf.tables() if name.startswith(prefix)]

    def drop(self, name: str) -> None:
        place = f"drop {_kinds([own_table(name)])}"
        self._reach(f"before {place}")
        self._shelf.drop(name)
        self._reach(f"after {place}")

    def close(self) -> None:
        self._cursor.close()

    def _make(self, name: str, sql: str, parameters: Sequence[object], *, uses: Sequence[str] = ()) -> int:
        place = f"create {_kinds([own_table(name)])}"
        self._reach(f"before {place}", uses)
        if self._names_customer(sql):
            self._shelf.on_view_read(name)
        rows = self._shelf.make(name, sql, parameters)
        self._reach(f"after {place}")
        return rows

    def _stream(
        self, sql: str, *, uses: Sequence[str], batch_rows: int, part: Part | None = None
    ) -> Generator[pa.RecordBatch, None, None]:
        self._reach(f"before a stream of {_kinds(uses)}", uses)
        if part is not None:
            [(rows,)] = self._cursor.execute(f"SELECT count(*) FROM {uses[0]}.main.data").fetchall()
            start, stop = (rows * number // part.of for number in (part.number, part.number + 1))
            sql = f"{sql} WHERE rowid >= {start} AND rowid < {stop}"
        for batch in self._cursor.sql(sql).to_arrow_table().to_batches(min(batch_rows, MOST_ROWS)):
            self._reach(f"before a batch of {_kinds(uses)}")
            yield batch

    def _rows(
        self, sql: str, parameters: Sequence[object] = (), *, uses: Sequence[str] = (), customer: bool = True
    ) -> list[tuple[object, ...]]:
        self._reach(f"read {_kinds(uses)}", uses)
        try:
            return self._cursor.execute(sql, parameters).fetchall()
        except duckdb.Error:
            failed = QueryFailed("The statement failed in DuckDB.")
        raise failed

    def _reach(self, place: str, uses: Sequence[str] = ()) -> None:
        if self._shelf.away:
            raise WarehouseUnreachable("The warehouse is away.")
        cross(Side.WAREHOUSE, place)
        for name in uses:
            if name not in self._shelf.tables():
                raise RelationMissing("A snapshot is not there any more.")


def _kinds(names: Sequence[str]) -> str:
    return "+".join(name.rpartition("_")[2] for name in names) or "nothing"
