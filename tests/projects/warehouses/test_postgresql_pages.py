"""How a partition is read from PostgreSQL: in short statements that together scan the table about once."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pyarrow as pa
import pytest

from projects.warehouses import port, postgresql_pages
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from projects.warehouses.postgresql_pages import Page
from tests.postgres import PostgresServer

TABLE = "activation_0a1b2c3d_s1_r1_a1_snapshot"
ROWS, PARTITIONS = 200_000, 4
FILL = (
    f"SELECT 'person' || i || '@example.com' AS _id, (hashint4(i) & 1023) % {PARTITIONS} AS _part, "
    f"i AS c0, repeat('x', 100) AS c1 FROM generate_series(1, {ROWS}) i"
)


@dataclass
class Place:
    """A database with a partitioned table of ours, its owner's connection, and how to open it."""

    owner: psycopg.Connection
    settings: PostgreSQLSettings

    def counters(self) -> dict[str, int]:
        """What PostgreSQL counted for the table: sequential scans, rows and blocks read, of all sessions but ours."""
        deadline = time.monotonic() + 30
        while self._others():  # a session hands in its counts as it ends, which it goes on doing once we have left it
            assert time.monotonic() < deadline, "a session stays open"
            time.sleep(0.05)
        columns = ("seq_scan", "idx_tup_fetch", "heap_blks_read", "heap_blks_hit")
        [found] = self.owner.execute(
            "SELECT s.seq_scan, s.idx_tup_fetch, i.heap_blks_read, i.heap_blks_hit FROM pg_stat_user_tables s "
            "JOIN pg_statio_user_tables i USING (relid) WHERE s.relname = %s",
            [TABLE],
        )
        return dict(zip(columns, found, strict=True))

    def open_transactions(self) -> int:
        """How many of the other sessions are in a transaction."""
        return self._others("AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)")

    def _others(self, which: str = "") -> int:
        [(count,)] = self.owner.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            f"AND backend_type = 'client backend' AND pid <> pg_backend_pid() {which}"
        )
        return int(count)


@pytest.fixture(scope="module")
def place(postgres: PostgresServer) -> Iterator[Place]:
    name = postgres.create_database()
    settings = PostgreSQLSettings(postgres.host, postgres.port, name, postgres.user, postgres.password)
    with postgres.connect(name) as owner:
        owner.execute("CREATE SCHEMA _rudderstack")
        with PostgreSQLWarehouse(settings) as warehouse:
            assert warehouse.create(TABLE, FILL, partitioned=True) == ROWS
        yield Place(owner, settings)
    postgres.drop_database(name)


def test_reading_every_partition_scans_the_table_about_once(place: Place) -> None:
    before = place.counters()
    with PostgreSQLWarehouse(place.settings) as warehouse:
        read = sum(
            batch.num_rows
            for number in range(PARTITIONS)
            for batch in warehouse.stream_partition(TABLE, port.Part(number, of=PARTITIONS), ["c0", "c1"])
        )
    [(pages,)] = place.owner.execute("SELECT relpages FROM pg_class WHERE relname = %s", [TABLE])
    after = place.counters()
    assert read == ROWS
    assert after["seq_scan"] == before["seq_scan"]
    assert after["idx_tup_fetch"] - before["idx_tup_fetch"] <= 1.01 * ROWS
    blocks = sum(after[kind] - before[kind] for kind in ("heap_blks_read", "heap_blks_hit"))
    assert pages <= blocks <= 1.05 * pages


def test_no_transaction_is_open_while_a_batch_is_worked_on(place: Place) -> None:
    with PostgreSQLWarehouse(place.settings) as warehouse:
        for _ in warehouse.stream_partition(TABLE, port.Part(1, of=PARTITIONS), ["c0"], batch_rows=5_000):
            assert place.open_transactions() == 0


def test_other_statements_may_run_and_a_partition_may_be_left_early(place: Place) -> None:
    with PostgreSQLWarehouse(place.settings) as warehouse:
        one, two = (
            warehouse.stream_partition(TABLE, port.Part(number, of=PARTITIONS), batch_rows=1_000) for number in (0, 1)
        )
        assert next(one).column(0)[0] != next(two).column(0)[0]
        assert warehouse.fetch("SELECT 1") == [(1,)]
        rest = sum(batch.num_rows for batch in one)
        [(whole,)] = warehouse.fetch(f"SELECT count(*) FROM {warehouse.dialect.snapshot(TABLE)} WHERE _part = 0")
        assert rest == int(str(whole)) - postgresql_pages.FIRST_ROWS
        two.close()
        assert warehouse.fetch("SELECT 1") == [(1,)]


@dataclass
class Cut:
    """Passes bytes on to a server, and cuts the connection after so many of its bytes."""

    port: int
    after: int
    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def serve(self) -> None:
        """Serve one connection to its end."""
        client, _ = self.listening.accept()
        self.listening.close()
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            left = self.after
            while left > 0 and (piece := server.recv(min(left, 65_536))):
                client.sendall(piece)
                left -= len(piece)
            client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _ask(client: socket.socket, server: socket.socket) -> None:
        try:
            while piece := client.recv(65_536):
                server.sendall(piece)
        except OSError:
            return


@contextmanager
def cut_after(size: int, place: Place) -> Iterator[PostgreSQLWarehouse]:
    cut = Cut(place.settings.port, size)
    host, port_number = cut.listening.getsockname()
    serving = threading.Thread(target=cut.serve)
    serving.start()
    settings = PostgreSQLSettings(
        host, port_number, place.settings.database, place.settings.user, place.settings.password, sslmode="disable"
    )
    with PostgreSQLWarehouse(settings) as warehouse:
        yield warehouse
    serving.join()


@pytest.mark.parametrize("size", [20_000, 60_000, 300_000, 3_000_000])
def test_a_connection_that_drops_in_the_middle_is_a_transient_fault(place: Place, size: int) -> None:
    with cut_after(size, place) as warehouse:
        with pytest.raises(port.WarehouseUnreachable) as failed:
            list(warehouse.stream_partition(TABLE, port.Part(2, of=PARTITIONS), ["c0", "c1"]))
        assert failed.value.transient


def batch(rows: int, width: int) -> pa.RecordBatch:
    ids = [f"{number:08d}" for number in range(rows)]
    return pa.RecordBatch.from_pydict({"_id": ids, "v0": ["x" * width] * rows})


def test_a_page_is_sized_by_the_bytes_of_the_rows_before_it() -> None:
    first = Page("t", 3, ["c0"])
    small = first.after([batch(first.rows, 10)])
    assert small is not None
    assert small.rows == first.rows * postgresql_pages.GROWTH
    many = small.after([batch(small.rows, 10)])
    assert many is not None
    assert many.rows == postgresql_pages.MOST_ROWS
    large = first.after([batch(first.rows, 1 << 16)])
    assert large is not None
    assert 100 < large.rows < postgresql_pages.PAGE_BYTES / (1 << 16)
    assert first.after([batch(first.rows - 1, 10)]) is None
    assert first.after([]) is None


def test_no_id_is_part_of_the_sql() -> None:
    page = Page("t", 3, ["c0"], rows=1).after([pa.RecordBatch.from_pydict({"_id": ["'; DROP TABLE x; --"]})])
    assert page is not None
    assert "DROP" not in page.query()
    assert "273b2044524f50205441424c4520783b202d2d" in page.query()
