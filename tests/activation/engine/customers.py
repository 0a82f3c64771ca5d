"""A customer's warehouse of each kind for the engine's tests: the adapter under test, and a way to change the data."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import psycopg
import pyarrow as pa

from activation.engine import upserts
from activation.engine.encoding import Encoder
from activation.engine.rows import bulk, pairs
from activation.engine.snapshots import SnapshotPlan, partition_sizes, read_deletes, read_upserts, table_name, values
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.port import Part, Relation, Warehouse
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from tests.postgres import PostgresServer, empty

SCHEMA = "profiles"
VIEW = Relation(SCHEMA, "people")
FIELD = "it's é \r\n view"
PREFIX = "w:d:user:email:"


class Customer(Protocol):
    """Whoever owns a warehouse: changes its data behind our back."""

    kind: str
    warehouse: Warehouse

    def execute(self, *statements: str) -> None:
        """Run statements as the owner; the schema `profiles` is there and is the one used without a name."""


@dataclass
class DuckDBCustomer:
    file: Path
    warehouse: Warehouse
    kind: str = "duckdb"

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            for statement in (f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", f"USE {SCHEMA}", *statements):
                connection.execute(statement)

    def insert(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run an INSERT for each row."""
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(f"USE {SCHEMA}")
            for row in rows:
                connection.execute(statement, list(row))


@dataclass
class PostgreSQLCustomer:
    connection: psycopg.Connection
    warehouse: Warehouse
    kind: str = "postgresql"

    def execute(self, *statements: str) -> None:
        for statement in (f"SET search_path TO {SCHEMA}", *statements):
            self.connection.execute(statement.encode())


@contextmanager
def duckdb_customer(folder: Path) -> Iterator[Customer]:
    snapshots = folder / "snapshots"
    snapshots.mkdir()
    file = folder / "customer.duckdb"
    with DuckDBWarehouse(file, folder=folder, snapshot_dir=snapshots, memory_limit="256MB", threads=1) as warehouse:
        customer = DuckDBCustomer(file, warehouse)
        customer.execute()
        yield customer


@contextmanager
def postgresql_customer(server: PostgresServer, database: str) -> Iterator[Customer]:
    """A customer whose schemas are emptied first."""
    settings = PostgreSQLSettings(server.host, server.port, database, server.user, server.password, sslmode="disable")
    with server.connect(database) as connection, PostgreSQLWarehouse(settings) as warehouse:
        empty(connection, "_rudderstack", SCHEMA)
        yield PostgreSQLCustomer(connection, warehouse)


def plan(customer: Customer, id_column: str = "email", **changes: object) -> SnapshotPlan:
    """Plan a snapshot of the view `people` as it is now."""
    columns = tuple(customer.warehouse.describe(VIEW))
    return SnapshotPlan(VIEW, columns, id_column, **changes)  # type: ignore[arg-type]  # the caller names fields


def a_name(kind: str = "snapshot") -> str:
    """Return a new table name."""
    return table_name("0a1b2c3d", 7, secrets.randbelow(10**9), 1, kind)


def profiles(customer: Customer, the_plan: SnapshotPlan, snapshot: str, partitions: int = 1) -> dict[str, str]:
    """Read a snapshot: key (without its prefix) → JSON text. Every id is there once, and a load sends just that."""
    found: list[tuple[str, str]] = []
    sent: dict[str | None, list[bytes]] = {None: [], FIELD: []}
    read = values(customer.warehouse.dialect, the_plan.columns)
    with Encoder(prefix=PREFIX, values=read) as encoder:
        for number in range(partitions):
            for batch in read_upserts(
                customer.warehouse, the_plan.columns, snapshot=snapshot, part=Part(number, of=partitions)
            ):
                encoded = encoder.encode(batch)
                keys: Sequence[str] = encoded.column("key").to_pylist()
                found += zip(
                    (key.removeprefix(PREFIX) for key in keys), encoded.column("json").to_pylist(), strict=True
                )
    for number in range(partitions):
        for field in (None, FIELD):
            reading = upserts.reading(
                customer.warehouse,
                the_plan.columns,
                name=snapshot,
                part=Part(number, of=partitions),
                prefix=PREFIX,
                field=field,
            )
            with reading as (encoder, batches):
                for batch in batches:
                    rows = encoder.pack(batch)
                    assert rows.commands is (field is not None)
                    packed = rows.packed.cast(pa.binary()).to_pylist()
                    sent[field] += packed if field is None else [pairs(each, field) for each in packed]
    wanted = sorted(bulk(PREFIX + row_id) + bulk(text) for row_id, text in found)
    assert sorted(sent[None]) == sorted(sent[FIELD]) == wanted
    assert len(dict(found)) == len(found)
    return dict(found)


def gone(customer: Customer, deletes: str, partitions: int = 1) -> list[str]:
    """Read a table of deletes, partition by partition."""
    found: list[str] = []
    for number in range(partitions):
        for batch in read_deletes(customer.warehouse, deletes, Part(number, of=partitions)):
            found += batch.column("_id").to_pylist()
    return sorted(found)


def sizes(customer: Customer, snapshot: str, deletes: str | None, partitions: int) -> list[tuple[int, int, int]]:
    """Return number, upserts and deletes of each partition."""
    found = partition_sizes(customer.warehouse, snapshot=snapshot, deletes=deletes, partitions=partitions)
    return [(size.number, size.upserts, size.deletes) for size in found]
