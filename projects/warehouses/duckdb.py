"""The DuckDB adapter: a customer's file, opened read-only in a child process, and snapshot files of ours.

A DuckDB file runs whatever its views say, so only `duckdb_child.py` ever opens one, behind walls; only files of one
folder are admitted. Writers lock a file against everybody else, so the customer's is opened for one statement at a
time and only where the statement names it, and every snapshot is a file of its own: written under a temporary name,
renamed when whole, read-only ever after. Workers that share snapshots share the folder.
"""

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Self

import pyarrow as pa

from projects.warehouses import checks, duckdb_catalogue, duckdb_logs
from projects.warehouses.duckdb_children import Children
from projects.warehouses.duckdb_dialect import DuckDBDialect
from projects.warehouses.duckdb_process import SPILL_PREFIX, Answer
from projects.warehouses.port import (
    CheckStep,
    Column,
    Dialect,
    LogOwner,
    Part,
    QueryFailed,
    Relation,
    RelationMissing,
    WarehouseRefused,
    WarehouseUnreachable,
    id_texts,
    own_table,
)

FETCH_BATCH = 10_000
A_PART = {"threads": 1}  # keeps up with Redis, and takes a fifth less CPU than two (measured)
SNAPSHOT_FOLDER = "Write, read and remove a snapshot file"
LEFT_OVER_AFTER = 7 * 24 * 3600  # seconds; no statement runs that long


class FileRefused(WarehouseRefused):
    """The file is not one that may be opened: it lies outside the folder for DuckDB files, or is no plain file."""

    code = "file_refused"


def admitted(file: Path, folder: Path) -> Path:
    """Return the real path of a DuckDB file in `folder` (`DUCKDB_DIR`); a relative one is relative to it.

    Raises:
        FileRefused: it, what it links to, or its write-ahead log lies elsewhere, or it is no plain file.

    """
    try:
        root = folder.resolve()
        path = (root / file).resolve()
        log = path.with_name(f"{path.name}.wal")
        inside = path.is_relative_to(root) and path != root and log.resolve().parent == path.parent
        plain = not path.exists() or path.is_file()
    except (OSError, RuntimeError, ValueError):
        inside = plain = False
    if not inside:
        raise FileRefused("This file is outside the folder for DuckDB files (the setting DUCKDB_DIR).")
    if not plain:
        raise FileRefused("This is not a file.")
    return path


class DuckDBWarehouse:
    """One DuckDB file of a customer's. See `projects.warehouses.port.Warehouse`."""

    def __init__(
        self, file: Path, *, folder: Path, snapshot_dir: Path, memory_limit: str = "1GB", threads: int = 2
    ) -> None:
        """Prepare to open `file`; nothing is read before the first statement.

        `folder` is the only one whose files are admitted, `snapshot_dir` takes our tables, `memory_limit` and
        `threads` hold for each statement.
        """
        self._file = file
        self._folder = folder
        self._snapshots = snapshot_dir
        self._limits = {"memory_limit": memory_limit, "threads": threads}
        self._children = Children(folder / file, snapshot_dir)
        self._counted: dict[str, int] = {}  # rows of snapshots, which never change
        self._catalog = duckdb_catalogue.catalog(file)
        self.dialect: Dialect = DuckDBDialect(self._catalog)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, relations: Sequence[Relation] = ()) -> Iterator[CheckStep]:
        """Check: connection → schemas → a file written, read and removed in the snapshot folder → each view read.

        A view that cannot be read does not keep the others from being tried.
        """
        actions = [
            _action(
                checks.CONNECTION, self._check_file, "Put the file into the folder DUCKDB_DIR; end what writes to it."
            ),
            _action(checks.SCHEMAS, self._check_schemas, "Check that the file holds what your Profiles project built."),
            _action(SNAPSHOT_FOLDER, self._check_folder, "Let this program write to the folder SNAPSHOT_DIR."),
        ]
        cure = "Run your Profiles project, and check that the view reads only tables of its own file."
        for relation in relations:
            step = _action(checks.reads(relation), partial(self._check_view, relation), cure)
            actions.append(replace(step, needed=False))
        return checks.run(actions)

    def schemas(self) -> list[str]:
        """List the file's schemas."""
        return [str(row[0]) for row in self._rows(duckdb_catalogue.SCHEMAS, [self._catalog])]

    def relations(self, schema: str) -> list[str]:
        """List the views and tables of a schema, whose name is taken in any case. Raises `RelationMissing`."""
        names = {name.lower(): name for name in self.schemas()}
        if schema.lower() not in names:
            raise RelationMissing(f"The file has no schema {schema}.")
        place = [self._catalog, names[schema.lower()]]
        return [str(row[0]) for row in self._rows(duckdb_catalogue.RELATIONS, place * 2)]

    def describe(self, relation: Relation) -> list[Column]:
        """List a view's columns in order. Raises `RelationMissing`, and `QueryFailed` for a view that does not work."""
        query = duckdb_catalogue.columns(self.dialect.relation(relation))
        try:
            rows = self._rows(query, [self._catalog, relation.schema, relation.name] * 2)
        except QueryFailed:
            self._require(relation)
            raise
        if not rows:
            self._require(relation)
        return [Column(str(name), str(type_)) for name, type_ in rows]

    def fetch(
        self, sql: str, parameters: Sequence[object] = (), *, uses: Sequence[str] = ()
    ) -> list[tuple[object, ...]]:
        """Run a query with a small result; parameters are texts, numbers, booleans or None."""
        return self._rows(sql, parameters, uses=uses, customer=self._names_customer(sql))

    def create(self, name: str, select: str, *, partitioned: bool = False, uses: Sequence[str] = ()) -> int:
        """Make a snapshot file from a SELECT and return its row count; see `port.Warehouse.create`."""
        return self._make(name, select, (), uses=uses)

    def put_ids(self, name: str, ids: Sequence[str]) -> int:
        """Make a snapshot file of ids, which are bound as one list; see `port.Warehouse.put_ids`."""
        return self._make(name, 'SELECT unnest(CAST(? AS VARCHAR[])) AS "_id"', [id_texts(ids)])

    def stream(
        self, sql: str, *, uses: Sequence[str] = (), batch_rows: int = 10_000
    ) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its rows in Arrow batches; the child waits while nobody reads."""
        yield from self._stream(sql, uses=uses, batch_rows=batch_rows)

    def partition_sizes(self, name: str, partitions: int) -> list[int]:
        """Cut the rows evenly by their positions."""
        rows: object = self._counted.get(name)
        if rows is None:
            [(rows,)] = self.fetch(f"SELECT count(*) FROM {self.dialect.snapshot(name)}", uses=[name])
        assert isinstance(rows, int)
        edges = [rows * number // partitions for number in range(partitions + 1)]
        return [stop - start for start, stop in pairwise(edges)]

    def stream_partition(
        self, name: str, part: Part, expressions: Sequence[str] = (), *, batch_rows: int = 10_000
    ) -> Generator[pa.RecordBatch, None, None]:
        """Yield a partition's rows. A file of ours never changes, nor do rows' positions in it (docs/adr/0014)."""
        columns = ", ".join(['"_id"', *(f"{text} AS v{place}" for place, text in enumerate(expressions))])
        query = f"SELECT {columns} FROM {self.dialect.snapshot(name)}"
        yield from self._stream(query, uses=[name], part=part, batch_rows=batch_rows)

    def tables(self, prefix: str) -> list[str]:
        """List our snapshots whose names begin with `prefix`."""
        names = (file.name.removesuffix(".duckdb") for file in self._snapshots.glob("*.duckdb"))
        return sorted(name for name in names if name.startswith(prefix))

    def drop(self, name: str) -> None:
        """Remove a snapshot; statements that read it at the moment go on undisturbed."""
        self._counted.pop(name, None)
        self._path(name).unlink(missing_ok=True)

    def append(self, log: str, select: str, *, owner: LogOwner, entry: str, day: date, uses: Sequence[str] = ()) -> int:
        """Write an entry of a log as a file of its own, named for its day; see `port.Warehouse.append`."""
        return self.create(duckdb_logs.entry_name(log, owner, day, entry), select, uses=uses)

    def forget(self, log: str, *, owner: LogOwner, before: date) -> None:
        """Remove an owner's entries of days before a day and join those of other days; see `port.Warehouse.forget`."""
        duckdb_logs.tidy(self, log, owner, before)

    def cancel(self) -> None:
        """Stop the statements that run now, by ending their processes. May be called from another thread."""
        self._children.cancel()

    def close(self) -> None:
        """Let the child processes go; closing twice is fine."""
        self._children.close()

    def _require(self, relation: Relation) -> None:
        if relation.name.lower() not in {name.lower() for name in self.relations(relation.schema)}:
            raise RelationMissing(f"The file has no view {relation.schema}.{relation.name}.")

    def _make(self, name: str, sql: str, parameters: Sequence[object], *, uses: Sequence[str] = ()) -> int:
        target = self._path(name)
        self._sweep()
        unfinished = target.with_name(f"{target.name}.tmp-{secrets.token_hex(6)}")
        customer = self._names_customer(sql)
        try:
            with self._ask(sql, parameters, uses=uses, customer=customer, output=unfinished) as answer:
                rows = answer.finish()
            unfinished.chmod(0o400)
            unfinished.replace(target)
        except OSError as error:
            raise WarehouseUnreachable(
                "The snapshot folder cannot be written to.", detail=type(error).__name__
            ) from None
        finally:
            for left_over in self._snapshots.glob(f"{unfinished.name}*"):
                left_over.unlink(missing_ok=True)
        self._counted[name] = rows
        return rows

    def _stream(
        self, sql: str, *, uses: Sequence[str], batch_rows: int, part: Part | None = None
    ) -> Generator[pa.RecordBatch, None, None]:
        customer = self._names_customer(sql)
        with self._ask(sql, (), uses=uses, customer=customer, part=part, batch_rows=batch_rows) as answer:
            yield from _batches(answer)

    def _rows(
        self, sql: str, parameters: Sequence[object] = (), *, uses: Sequence[str] = (), customer: bool = True
    ) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        with self._ask(sql, parameters, uses=uses, customer=customer) as answer:
            for batch in _batches(answer):
                rows.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        return rows

    @contextlib.contextmanager
    def _ask(
        self,
        sql: str,
        parameters: Sequence[object],
        *,
        uses: Sequence[str],
        customer: bool,
        output: Path | None = None,
        part: Part | None = None,
        batch_rows: int = FETCH_BATCH,
    ) -> Iterator[Answer]:
        request = {
            "customer": [str(admitted(self._file, self._folder)), self._catalog] if customer else None,
            "snapshots": [[str(self._path(name)), name] for name in dict.fromkeys(uses)],
            "output": str(output) if output else None,
            "sql": sql,
            "parameters": list(parameters),
            "part": [part.number, part.of] if part else None,
            "batch_rows": batch_rows,
            **self._limits,
            **(A_PART if part else {}),
        }
        with self._children.ask(request) as answer:
            yield answer

    def _names_customer(self, sql: str) -> bool:
        """Whether a statement reads the customer's file, which is locked for writers meanwhile."""
        return f"{self.dialect.quote(self._catalog)}." in sql

    def _path(self, name: str) -> Path:
        return self._snapshots / f"{own_table(name)}.duckdb"

    def _sweep(self) -> None:
        """Remove what crashed processes left behind."""
        before = time.time() - LEFT_OVER_AFTER
        for left_over in (*self._snapshots.glob("*.duckdb.tmp-*"), *self._snapshots.glob(f"{SPILL_PREFIX}*")):
            with contextlib.suppress(OSError):
                if left_over.stat().st_mtime < before:
                    shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()

    def _check_file(self) -> str:
        self._rows("SELECT 1")
        return "The file opens as a DuckDB database."

    def _check_schemas(self) -> str:
        return f"Found {', '.join(self.schemas())}."

    def _check_folder(self) -> str:
        name = f"activation_00000000_check_{secrets.token_hex(6)}"
        try:
            self.create(name, "SELECT 1 AS n")
            self._rows(f"SELECT n FROM {self.dialect.snapshot(name)}", uses=[name], customer=False)
        finally:
            self.drop(name)
        return "A file was written, read and removed."

    def _check_view(self, relation: Relation) -> str:
        columns = self.describe(relation)
        self._rows(f"SELECT * FROM {self.dialect.relation(relation)} LIMIT 1")
        return f"Readable, {len(columns)} columns."


def _batches(answer: Answer) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(answer.buffered()) as reader:
        yield from reader
    answer.finish()


def _action(name: str, run: Callable[[], str], cure: str) -> checks.Action:
    return checks.Action(name, run, lambda _: cure)
