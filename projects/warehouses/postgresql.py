"""PostgreSQL as a warehouse, through ADBC: rows come as Arrow, never as Python objects.

Open it inside the process that uses it: the driver hangs in a child that forked after it was used.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import date
from typing import Any, Self

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi

from projects.warehouses import checks, postgresql_checks
from projects.warehouses import postgresql_catalogue as catalogue
from projects.warehouses import postgresql_pages as pages
from projects.warehouses.cures import GRANTS
from projects.warehouses.port import (
    LOG_COLUMNS,
    CheckStep,
    Column,
    Dialect,
    GrantMissing,
    LogOwner,
    Part,
    QueryCancelled,
    QueryFailed,
    Relation,
    RelationMissing,
    WarehouseError,
    id_texts,
)
from projects.warehouses.postgresql_dialect import SCHEMA, PostgreSQLDialect, quote
from projects.warehouses.postgresql_errors import connection_error, statement_error
from projects.warehouses.postgresql_settings import PostgreSQLSettings
from projects.warehouses.postgresql_types import TYPES, Types

__all__ = ["PostgreSQLSettings", "PostgreSQLWarehouse"]

BYTES_PER_ROW = 400  # for the size of batches only
_DROPS_WITHIN = "5s"  # a backup that reads a table may take hours; it is dropped another time

_PARAMETER = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?")


class PostgreSQLWarehouse:
    """One connection to a PostgreSQL warehouse, made when it is first needed (`port.Warehouse`)."""

    def __init__(self, settings: PostgreSQLSettings) -> None:
        self.dialect: Dialect = PostgreSQLDialect()
        self._settings = settings
        self._open: dbapi.Connection | None = None
        self._cancelled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, relations: Sequence[Relation] = ()) -> Iterator[CheckStep]:
        """Check connection, schemas, our schema and each view, in this order; see `port.Warehouse.check`."""
        yield from checks.run(postgresql_checks.actions(self, relations))

    def schemas(self) -> list[str]:
        """List the schemas, without PostgreSQL's own."""
        return [str(name) for (name,) in self.fetch(catalogue.SCHEMAS)]

    def relations(self, schema: str) -> list[str]:
        """List the views and tables of a schema. Raises `RelationMissing` when there is no such schema."""
        if not self.fetch(catalogue.SCHEMA_USABLE, ("USAGE", schema)):
            raise RelationMissing(f"There is no schema {schema}.", detail="3F000")
        return [str(name) for (name,) in self.fetch(catalogue.RELATIONS, (schema,))]

    def describe(self, relation: Relation) -> list[Column]:
        """List a view's columns in order. Raises `RelationMissing`, `GrantMissing`."""
        found = self.fetch(catalogue.RELATION_USABLE, (relation.schema, relation.name))
        if not found:
            raise RelationMissing(f"There is no view {relation.schema}.{relation.name}.", detail="42P01")
        schema_usable, readable = found[0]
        if not schema_usable:
            raise _ungranted(f"USAGE on the schema {relation.schema}")
        if not readable:
            raise _ungranted(f"SELECT on {relation.schema}.{relation.name}")
        place = (relation.schema, relation.name)
        rows = self.fetch(catalogue.COLUMNS, place)
        types = Types(self.fetch(TYPES, place) if any(nested for _, _, nested in rows) else ())
        return [
            Column(str(name), types.text(nested) if isinstance(nested, int) and nested else str(type_name))
            for name, type_name, nested in rows
        ]

    def fetch(
        self, sql: str, parameters: Sequence[object] = (), *, uses: Sequence[str] = ()
    ) -> list[tuple[object, ...]]:
        """Run a query with a small result. One that `uses` tables of ours goes through many rows."""
        with self._shared_out() if uses else nullcontext(), self._cursor() as cursor:
            if parameters:
                cursor.execute(numbered(sql), tuple(parameters))
            else:
                cursor.execute(sql)
            columns = [column.to_pylist() for column in cursor.fetch_arrow_table().columns]
        return list(zip(*columns, strict=True))

    def create(self, name: str, select: str, *, partitioned: bool = False, uses: Sequence[str] = ()) -> int:
        """Make a table of ours in one transaction; a partitioned one is ordered and indexed by partition and id."""
        layout = f" ORDER BY {pages.ORDER}" if partitioned else ""
        with self._shared_out(), self._replacing(name) as new:
            rows = self._execute(f"CREATE TABLE {new} AS SELECT * FROM ({select}) q{layout}")
            if partitioned:
                self._execute(f"CREATE INDEX ON {new} ({pages.ORDER})")
        return rows

    def put_ids(self, name: str, ids: Sequence[str]) -> int:
        """Make a table of ids, which go through COPY; see `port.Warehouse.put_ids`."""
        column = pa.table({"_id": pa.array(id_texts(ids), pa.string())})
        with self._replacing(name) as new:
            self._execute(f'CREATE TABLE {new} ("_id" text COLLATE "C" NOT NULL)')
            with self._cursor() as cursor:
                cursor.adbc_ingest(f"{name}_new", column, mode="append", db_schema_name=SCHEMA)
        return len(column)

    def stream(
        self, sql: str, *, uses: Sequence[str] = (), batch_rows: int = 10_000
    ) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its result in Arrow batches, in flat memory.

        The connection serves nothing else until the stream is at its end or closed.
        """
        with self._cursor() as cursor:
            size = str(batch_rows * BYTES_PER_ROW)
            cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: size})
            cursor.execute(sql)
            try:
                for batch in cursor.fetch_record_batch():
                    for start in range(0, batch.num_rows, batch_rows):
                        yield batch.slice(start, batch_rows)
            except GeneratorExit:  # the reader goes away early: end the query, or closing would read it to its end
                self.cancel()
                raise

    def partition_sizes(self, name: str, partitions: int) -> list[int]:
        """Count the rows of each partition."""
        rows = self.fetch(f'SELECT "_part", count(*) FROM {self.dialect.snapshot(name)} GROUP BY "_part"')
        found = {number: count for number, count in rows if isinstance(count, int)}
        return [found.get(number, 0) for number in range(partitions)]

    def stream_partition(
        self, name: str, part: Part, expressions: Sequence[str] = (), *, batch_rows: int = 10_000
    ) -> Generator[pa.RecordBatch, None, None]:
        """Yield a partition's rows, read page by page: each page is a statement of its own, done before its rows go on.

        So the warehouse sees no long transaction, however long the rows take to be loaded.
        """
        page: pages.Page | None = pages.Page(self.dialect.snapshot(name), part.number, expressions)
        while page is not None:
            with self._index_order():
                batches = list(self.stream(page.query(), batch_rows=batch_rows))
            yield from batches
            page = page.after(batches)

    def tables(self, prefix: str) -> list[str]:
        """List our own tables whose names begin with `prefix`."""
        return [str(name) for (name,) in self.fetch(catalogue.OWN_TABLES, (SCHEMA, prefix))]

    def drop(self, name: str) -> None:
        """Drop a table of ours; not being there is fine, nor is its schema. Who reads it is waited for some seconds."""
        with self._setting("lock_timeout", _DROPS_WITHIN):
            self._execute(f"DROP TABLE IF EXISTS {self.dialect.snapshot(name)}")

    def append(self, log: str, select: str, *, owner: LogOwner, entry: str, day: date, uses: Sequence[str] = ()) -> int:
        """Insert a SELECT's rows into a log; see `port.Warehouse.append`."""
        table, columns = self.dialect.snapshot(log), ", ".join(map(quote, LOG_COLUMNS))
        with suppress(QueryFailed):  # two sessions may make it at the same time; the insert tells whether it is there
            self._execute(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM ({select}) q WITH NO DATA")
            index = quote(f"{log}_day")
            self._execute(f"CREATE INDEX IF NOT EXISTS {index} ON {table} USING brin (sync_finished_at)")
        return self._execute(f"INSERT INTO {table} ({columns}) {select}")

    def forget(self, log: str, *, owner: LogOwner, before: date) -> None:
        """Delete an owner's rows of days before a day; see `port.Warehouse.forget`."""
        whose = owner.connection_id.replace("'", "''")
        when = f"sync_finished_at < DATE '{before:%Y-%m-%d}'"
        with suppress(RelationMissing):
            self._execute(f"DELETE FROM {self.dialect.snapshot(log)} WHERE {when} AND connection_id = '{whose}'")

    def cancel(self) -> None:
        """Stop the statement that runs now. May be called from another thread."""
        connection, self._cancelled = self._open, True
        if connection is not None:
            with suppress(adbc_driver_manager.Error):
                connection.adbc_cancel()

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        connection, self._open = self._open, None
        if connection is not None:
            with suppress(adbc_driver_manager.Error):
                connection.close()

    def _connection(self) -> dbapi.Connection:
        """Return the connection; the first call makes it and fixes the session's settings."""
        if self._open is None:
            try:
                self._open = dbapi.connect(self._settings.uri(), autocommit=True)
            except adbc_driver_manager.Error as error:
                settings = self._settings
                raise connection_error(error, user=settings.user, database=settings.database) from None
            self.fetch(catalogue.session_settings())
        return self._open

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Give a cursor, closed before anything else happens; the driver's errors become ours, its texts end here."""
        cursor = self._connection().cursor()
        self._cancelled = False
        try:
            yield cursor
        except adbc_driver_manager.Error as error:
            raise statement_error(error) from None
        except (OSError, pa.ArrowException):
            raise self._stream_error(cursor) from None
        finally:
            with suppress(adbc_driver_manager.Error):
                cursor.close()

    def _stream_error(self, failed: Any) -> WarehouseError:
        """Tell why a stream ended early: Arrow hands on no SQLSTATE, so the connection is asked whether it lives."""
        if self._cancelled:
            return QueryCancelled("The statement was cancelled.", detail="57014")
        with suppress(adbc_driver_manager.Error):
            failed.close()
        try:
            self._execute("ROLLBACK")
        except WarehouseError as error:
            return error
        return QueryFailed("The warehouse broke off a query while it was being read.")

    @contextmanager
    def _index_order(self) -> Iterator[None]:
        """Have rows wanted in an index's order read by it: sorting them would read the partition for every page."""
        with self._setting("enable_sort", "off"):
            yield

    @contextmanager
    def _shared_out(self) -> Iterator[None]:
        """Let the server share a statement among as many of its processes as it allows anyhow.

        What makes a row of ours (a hash over all columns, an id in its form) costs more than the server thinks, so by
        its own estimate of what handing rows on costs one process would make all of them, in twice the time (measured).
        """
        with self._setting("parallel_tuple_cost", "0"):
            yield

    @contextmanager
    def _setting(self, name: str, value: str) -> Iterator[None]:
        """Have a setting of the session be something else for a while."""
        self.fetch("SELECT pg_catalog.set_config(?, ?, false)", (name, value))
        try:
            yield
        finally:
            with suppress(WarehouseError):
                self._execute(f"RESET {name}")

    @contextmanager
    def _replacing(self, name: str) -> Iterator[str]:
        """Give the quoted name of a new table to make, which then takes the place of the one called `name`."""
        table, new = self.dialect.snapshot(name), f"{quote(SCHEMA)}.{quote(f'{name}_new')}"
        with self._transaction():
            self._execute(f"DROP TABLE IF EXISTS {new}")
            yield new
            self._execute(f"DROP TABLE IF EXISTS {table}")
            self._execute(f"ALTER TABLE {new} RENAME TO {quote(name)}")
        self._execute(f"ANALYZE {table}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(WarehouseError):
                self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")

    def _execute(self, sql: str) -> int:
        """Run a statement without a result and return how many rows it is about, or -1."""
        with self._cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)


def numbered(sql: str) -> str:
    """Return a query with its `?` parameters numbered as PostgreSQL wants them; quoted text is left alone."""
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] != "?":
            return match[0]
        count += 1
        return f"${count}"

    return _PARAMETER.sub(replaced, sql)


def _ungranted(grant: str) -> GrantMissing:
    return GrantMissing(f"The user lacks {grant}. {GRANTS}", detail="42501")
