"""The DuckDB adapter: names, snapshots that appear whole, streams, locks, cancelling, and the named steps of a check."""

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from projects.warehouses import checks
from projects.warehouses.duckdb import SNAPSHOT_FOLDER, DuckDBWarehouse
from projects.warehouses.duckdb_children import WAITING
from projects.warehouses.port import (
    Column,
    Part,
    QueryCancelled,
    QueryFailed,
    Relation,
    RelationMissing,
    Warehouse,
    WarehouseBusy,
    WarehouseUnreachable,
)

MakeFile = Callable[..., Path]
OpenFile = Callable[..., DuckDBWarehouse]

SNAPSHOT = "activation_00c0ffee_s1_r1_a1_full"
FOREVER = "SELECT sum(hash(i)) FROM range(1000000000000) r(i)"
SHOP = (
    "CREATE SCHEMA profiles",
    "CREATE SCHEMA serving",
    "CREATE TABLE profiles.people AS SELECT i AS id, 'p' || i AS name FROM range(1000) r(i)",
    "CREATE MACRO shout(x) AS upper(x)",
    "CREATE VIEW profiles.same AS SELECT * FROM profiles.people",
    "CREATE VIEW serving.other AS SELECT name FROM profiles.same",
    "CREATE VIEW profiles.loud AS SELECT shout(name) AS name FROM profiles.people",
    "SET search_path = 'profiles'",
    "CREATE VIEW profiles.bare AS SELECT id FROM people",
)


def as_port(warehouse: DuckDBWarehouse) -> Warehouse:
    return warehouse


def people(warehouse: DuckDBWarehouse) -> str:
    return warehouse.dialect.relation(Relation("profiles", "people"))


@pytest.mark.parametrize(
    "name",
    [
        "shop.duckdb",
        "my odd-file 1.duckdb",
        "o'file.duckdb",
        'quo"te.duckdb',
        "memory.duckdb",
        "temp.duckdb",
        "system.db",
        "activation_00c0ffee_s1.duckdb",
        "select.duckdb",
        "größe.duckdb",
        "two.parts.duckdb",
        "no_suffix",
        "a;b%20?c=d#e*.duckdb",
    ],
)
def test_views_are_read_whatever_the_file_is_called(name: str, make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = as_port(open_file(make_file(*SHOP, name=name)))
    for schema, view in (("profiles", "same"), ("serving", "other"), ("profiles", "loud"), ("profiles", "bare")):
        counted = warehouse.fetch(f"SELECT count(*) FROM {warehouse.dialect.relation(Relation(schema, view))}")
        assert counted == [(1000,)]


def test_a_view_that_names_its_own_file_is_read(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(
        *SHOP, 'CREATE VIEW profiles.whole AS SELECT * FROM "my shop".profiles.people', name="my shop.duckdb"
    )
    warehouse = open_file(file)
    view = warehouse.dialect.relation(Relation("profiles", "whole"))
    assert warehouse.fetch(f"SELECT count(*) FROM {view}") == [(1000,)]


def test_a_file_called_like_its_schema_is_told_to_be_renamed(
    make_file: MakeFile, open_file: OpenFile, folder: Path
) -> None:
    make_file(*SHOP).rename(folder / "profiles.duckdb")
    warehouse = open_file("profiles.duckdb")
    assert warehouse.fetch(f"SELECT count(*) FROM {people(warehouse)}") == [(1000,)]
    with pytest.raises(QueryFailed, match="rename the file"):
        warehouse.describe(Relation("profiles", "same"))


def test_schemas_views_and_columns_are_listed(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    assert warehouse.schemas() == ["main", "profiles", "serving"]
    assert warehouse.relations("PROFILES") == ["bare", "loud", "people", "same"]
    for spelt in (Relation("profiles", "same"), Relation("PROFILES", "Same")):
        assert warehouse.describe(spelt) == [Column("id", "BIGINT"), Column("name", "VARCHAR")]


def test_what_is_not_there_is_missing(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    with pytest.raises(RelationMissing, match="no schema nowhere"):
        warehouse.relations("nowhere")
    with pytest.raises(RelationMissing, match=r"no view profiles\.nothing"):
        warehouse.describe(Relation("profiles", "nothing"))
    with pytest.raises(RelationMissing, match="no schema nowhere"):
        warehouse.describe(Relation("nowhere", "same"))
    with pytest.raises(RelationMissing, match=r"no view main\.duckdb_settings"):
        warehouse.describe(Relation("main", "duckdb_settings"))  # one of DuckDB's own
    with pytest.raises(RelationMissing, match="not there any more"):
        warehouse.fetch(f"SELECT * FROM {warehouse.dialect.snapshot(SNAPSHOT)}", uses=[SNAPSHOT])


def test_parameters_are_bound_and_never_read_as_sql(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    hostile = "p1' OR '1'='1"
    assert warehouse.fetch("SELECT ?, ?, ?, ?", [hostile, 7, None, True]) == [(hostile, 7, None, True)]
    found = warehouse.fetch(f"SELECT id FROM {people(warehouse)} WHERE name IN (?, ?) ORDER BY id", ["p7", hostile])
    assert found == [(7,)]


def test_a_snapshot_is_a_file_that_appears_whole(make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path) -> None:
    warehouse = open_file(make_file(*SHOP))
    assert warehouse.create(SNAPSHOT, f"SELECT id, name FROM {people(warehouse)}") == 1000
    assert [entry.name for entry in snapshot_dir.iterdir() if not entry.is_dir()] == [f"{SNAPSHOT}.duckdb"]
    assert (snapshot_dir / f"{SNAPSHOT}.duckdb").stat().st_mode & 0o777 == 0o400
    assert warehouse.tables("activation_00c0ffee_") == [SNAPSHOT]
    assert warehouse.tables("activation_ffffffff_") == []
    warehouse.drop(SNAPSHOT)
    warehouse.drop(SNAPSHOT)
    assert warehouse.tables("activation_") == []


def test_a_partition_lies_in_row_groups_of_its_own_but_for_its_edges(
    make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path
) -> None:
    rows, partitions = 600_001, 3
    with open_file(make_file(*SHOP)) as warehouse:
        warehouse.create(SNAPSHOT, f"SELECT 'p' || i AS _id FROM range({rows}) r(i)", partitioned=True)
        spent = [
            sum(batch.num_rows for batch in warehouse.stream_partition(SNAPSHOT, Part(number, of=partitions)))
            for number in range(partitions)
        ]
        assert spent == warehouse.partition_sizes(SNAPSHOT, partitions) == [200_000, 200_000, 200_001]
    with duckdb.connect(snapshot_dir / f"{SNAPSHOT}.duckdb", read_only=True) as connection:
        plan = "EXPLAIN ANALYZE SELECT _id FROM data WHERE rowid >= 200000 AND rowid < 400000"
        [(_, told)] = connection.execute(plan).fetchall()
    [(scanned, there)] = re.findall(r"Row Groups Scanned: (\d+) / (\d+)", told)
    assert int(scanned) <= int(there) / partitions + 2


def test_a_snapshot_can_be_made_from_the_view_and_an_older_snapshot(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    base, delta = SNAPSHOT, SNAPSHOT.replace("full", "delta")
    warehouse.create(base, f"SELECT id FROM {people(warehouse)} WHERE id >= 100")
    gone = (
        f"SELECT p.id FROM {people(warehouse)} p WHERE NOT EXISTS "
        f"(SELECT 1 FROM {warehouse.dialect.snapshot(base)} b WHERE b.id = p.id)"
    )
    assert warehouse.create(delta, gone, uses=[base]) == 100
    assert warehouse.create(base, f"SELECT 7 AS id FROM {warehouse.dialect.snapshot(base)} LIMIT 1", uses=[base]) == 1
    replaced = warehouse.fetch(f"SELECT id FROM {warehouse.dialect.snapshot(base)}", uses=[base])
    assert replaced == [(7,)]


def test_a_snapshot_that_fails_leaves_nothing_and_the_older_one_stays(
    make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path
) -> None:
    warehouse = open_file(make_file(*SHOP))
    warehouse.create(SNAPSHOT, "SELECT 1 AS a")
    failing = (
        "SELECT CASE WHEN i = 400000 THEN error('row of anna@example.com') ELSE i END AS a FROM range(500000) r(i)"
    )
    with pytest.raises(QueryFailed) as failure:
        warehouse.create(SNAPSHOT, failing)
    assert "anna" not in repr(vars(failure.value)) + str(failure.value)
    assert [entry.name for entry in snapshot_dir.iterdir() if not entry.is_dir()] == [f"{SNAPSHOT}.duckdb"]
    assert warehouse.fetch(f"SELECT a FROM {warehouse.dialect.snapshot(SNAPSHOT)}", uses=[SNAPSHOT]) == [(1,)]


@pytest.mark.parametrize(
    "name", ["people", "../people", "activation_00c0ffee", "activation_00C0FFEE_x", "activation_1_x"]
)
def test_only_tables_of_ours_can_be_made_or_dropped(name: str, make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    with pytest.raises(ValueError, match="table of ours"):
        warehouse.create(name, "SELECT 1 AS a")
    with pytest.raises(ValueError, match="table of ours"):
        warehouse.drop(name)


def test_an_unwritable_snapshot_folder_is_said_to_be_one(make_file: MakeFile, folder: Path) -> None:
    file = make_file(*SHOP)
    with DuckDBWarehouse(file, folder=folder, snapshot_dir=file / "no-folder") as warehouse:
        with pytest.raises(WarehouseUnreachable, match="snapshot folder"):
            warehouse.create(SNAPSHOT, "SELECT 1 AS a")
        assert next(warehouse.check()).state == "failed"


def test_a_stream_comes_in_small_batches_while_the_query_still_runs(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    endless = warehouse.stream("SELECT i, 'text ' || i AS t FROM range(1000000000000) r(i)", batch_rows=5_000)
    sizes = [next(endless).num_rows for _ in range(20)]
    endless.close()
    assert max(sizes) <= 8_192
    assert warehouse.fetch("SELECT 1") == [(1,)]


def test_an_empty_stream_has_no_batches(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    assert list(warehouse.stream(f"SELECT * FROM {people(warehouse)} WHERE false")) == []


def test_a_fault_in_the_middle_of_a_stream_is_raised_there(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    stream = warehouse.stream("SELECT CASE WHEN i = 900000 THEN error('x') ELSE i END AS a FROM range(1000000) r(i)")
    rows = next(stream).num_rows
    with pytest.raises(QueryFailed):
        rows += sum(batch.num_rows for batch in stream)
    assert rows > 0
    assert warehouse.fetch("SELECT 1") == [(1,)]


def test_statements_may_run_while_streams_are_open(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    warehouse.create(SNAPSHOT, f"SELECT * FROM {people(warehouse)}")
    query = f"SELECT id FROM {warehouse.dialect.snapshot(SNAPSHOT)} ORDER BY id"
    one, two = (warehouse.stream(query, uses=[SNAPSHOT], batch_rows=1) for _ in range(2))
    assert next(one).column(0)[0].as_py() == next(two).column(0)[0].as_py() == 0
    assert warehouse.fetch("SELECT 1") == [(1,)]
    assert sum(batch.num_rows for batch in one) == sum(batch.num_rows for batch in two)
    assert len(warehouse._children._idle) == 3


def test_a_file_that_is_being_written_is_busy_and_snapshots_are_not(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(*SHOP)
    warehouse = open_file(file)
    warehouse.create(SNAPSHOT, f"SELECT * FROM {people(warehouse)}")
    with duckdb.connect(str(file)) as writer:
        with pytest.raises(WarehouseBusy) as busy:
            warehouse.schemas()
        assert busy.value.transient
        counted = warehouse.fetch(f"SELECT count(*) FROM {warehouse.dialect.snapshot(SNAPSHOT)}", uses=[SNAPSHOT])
        assert counted == [(1000,)]
        writer.execute("CREATE TABLE profiles.more AS SELECT 1 AS a")
    assert "more" in warehouse.relations("profiles")


def test_the_customer_can_write_while_a_snapshot_is_read(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(*SHOP)
    warehouse = open_file(file)
    warehouse.create(SNAPSHOT, f"SELECT * FROM {people(warehouse)}")
    stream = warehouse.stream(f"SELECT * FROM {warehouse.dialect.snapshot(SNAPSHOT)}", uses=[SNAPSHOT], batch_rows=1)
    next(stream)
    with duckdb.connect(str(file)) as writer:
        writer.execute("DROP TABLE profiles.people CASCADE")
    assert sum(batch.num_rows for batch in stream) < 1000


@pytest.mark.parametrize("kind", ["fetch", "create"])
def test_a_running_statement_is_cancelled_from_another_thread(
    kind: str, make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path
) -> None:
    warehouse = open_file(make_file(*SHOP))
    warehouse.cancel()  # nothing runs: nothing happens
    assert warehouse.fetch("SELECT 1") == [(1,)]
    timer = threading.Timer(0.4, warehouse.cancel)
    started = time.monotonic()
    timer.start()
    with pytest.raises(QueryCancelled):
        warehouse.fetch(FOREVER) if kind == "fetch" else warehouse.create(SNAPSHOT, FOREVER)
    timer.join()
    assert time.monotonic() - started < 20
    assert warehouse.fetch("SELECT 1") == [(1,)]
    assert not [entry for entry in snapshot_dir.iterdir() if not entry.name.startswith(".spill-")]


def test_a_child_that_dies_is_replaced(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP))
    assert warehouse.fetch("SELECT 1") == [(1,)]
    (child,) = warehouse._children._idle
    timer = threading.Timer(0.4, child._process.kill)
    timer.start()
    with pytest.raises(WarehouseUnreachable) as lost:
        warehouse.fetch(FOREVER)
    timer.join()
    assert lost.value.transient
    assert warehouse.fetch("SELECT 1") == [(1,)]


def test_sorting_more_than_the_memory_allows_spills_and_cleans_up(
    make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path
) -> None:
    warehouse = open_file(make_file(*SHOP), memory_limit="80MB", threads=1)
    select = "SELECT md5(i::VARCHAR) AS _part, md5((i + 1)::VARCHAR) AS b, md5((i + 2)::VARCHAR) AS c FROM range(1000000) r(i)"
    assert warehouse.create(SNAPSHOT, select, partitioned=True) == 1_000_000
    warehouse.close()
    warehouse.close()
    WAITING.end()
    assert [entry.name for entry in snapshot_dir.iterdir()] == [f"{SNAPSHOT}.duckdb"]


def test_a_statement_that_needs_too_much_memory_fails_for_good(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(*SHOP), memory_limit="30MB", threads=1)
    with pytest.raises(QueryFailed, match="more memory") as failure:
        warehouse.fetch("SELECT string_agg(md5(i::VARCHAR), '') FROM range(3000000) r(i)")
    assert not failure.value.transient


def test_a_check_tells_every_step(make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path) -> None:
    warehouse = open_file(make_file(*SHOP, "CREATE VIEW profiles.far AS SELECT * FROM read_text('/etc/hostname')"))
    views = [Relation("profiles", name) for name in ("same", "far", "gone", "loud")]
    steps = list(warehouse.check(views))
    assert [(step.name, step.state) for step in steps] == [
        (checks.CONNECTION, "passed"),
        (checks.SCHEMAS, "passed"),
        (SNAPSHOT_FOLDER, "passed"),
        (checks.reads(Relation("profiles", "same")), "passed"),
        (checks.reads(Relation("profiles", "far")), "failed"),
        (checks.reads(Relation("profiles", "gone")), "failed"),
        (checks.reads(Relation("profiles", "loud")), "passed"),
    ]
    assert all(step.cure for step in steps if step.state == "failed")
    assert [entry for entry in snapshot_dir.iterdir() if not entry.is_dir()] == []


def test_a_check_that_cannot_connect_does_not_go_on(open_file: OpenFile) -> None:
    steps = list(open_file("none.duckdb").check([Relation("profiles", "same")]))
    assert [step.state for step in steps] == ["failed", "not_reached", "not_reached", "not_reached"]
    assert steps[0].message == "The DuckDB file is not there."


def test_left_overs_of_crashed_processes_are_swept_after_a_week(
    make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path
) -> None:
    snapshot_dir.mkdir()
    old, new = snapshot_dir / f"{SNAPSHOT}.duckdb.tmp-1", snapshot_dir / f"{SNAPSHOT}.duckdb.tmp-2"
    spill = snapshot_dir / ".spill-old"
    spill.mkdir()
    for file in (old, new, spill / "block"):
        file.write_text("x")
    for entry in (old, spill):
        os.utime(entry, (0, 0))
    open_file(make_file(*SHOP)).create(SNAPSHOT, "SELECT 1 AS a")
    assert (old.exists(), spill.exists(), new.exists()) == (False, False, True)
