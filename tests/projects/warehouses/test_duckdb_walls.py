"""A hostile DuckDB file learns nothing and reaches nothing: views run in a process with an empty environment, behind walls."""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from projects.warehouses import duckdb_process
from projects.warehouses.duckdb import DuckDBWarehouse, FileRefused
from projects.warehouses.port import QueryFailed, Relation, WarehouseUnreachable

SECRET = "s3cr3t-" + "of-the-worker"
EVIL = Relation("p", "evil")
GOOD = Relation("p", "good")

MakeFile = Callable[..., Path]
OpenFile = Callable[..., DuckDBWarehouse]


@pytest.fixture(autouse=True)
def _secret_in_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret.csv"
    file.write_text(f"a\n{SECRET}\n")
    return file


def told(error: BaseException) -> str:
    """Everything an error could tell whoever logs it."""
    return "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT content FROM read_text('/proc/self/environ')",
        "SELECT content FROM read_text('/proc/{parent}/environ')",
        "SELECT content FROM read_blob('{file}')",
        "SELECT content FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_csv_auto('{folder}/*.csv')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM sniff_csv('{file}')",
    ],
)
def test_a_view_that_reads_elsewhere_is_refused_and_leaks_nothing(
    query: str, make_file: MakeFile, open_file: OpenFile, secret_file: Path
) -> None:
    query = query.format(parent=os.getpid(), file=secret_file, folder=secret_file.parent)
    file = make_file(
        "CREATE SCHEMA p", "CREATE VIEW p.good AS SELECT 1 AS a", f"CREATE VIEW p.evil AS SELECT * FROM ({query})"
    )
    with duckdb.connect(str(file), read_only=True) as bare:
        assert bare.execute("FROM p.evil").fetchall(), "without walls the view gives something away"
    warehouse = open_file(file)
    for attempt in (
        lambda: warehouse.fetch(f"SELECT * FROM {warehouse.dialect.relation(EVIL)}"),
        lambda: warehouse.create("activation_00c0ffee_s1_r1", f"SELECT * FROM {warehouse.dialect.relation(EVIL)}"),
        lambda: list(warehouse.stream(f"SELECT * FROM {warehouse.dialect.relation(EVIL)}")),
        lambda: warehouse.describe(EVIL) and warehouse.fetch(f"SELECT * FROM {warehouse.dialect.relation(EVIL)}"),
    ):
        with pytest.raises(QueryFailed, match="outside its own file") as refusal:
            attempt()
        assert SECRET not in told(refusal.value)
        assert str(secret_file) not in str(refusal.value)
    assert warehouse.fetch(f"SELECT a FROM {warehouse.dialect.relation(GOOD)}") == [(1,)]
    assert warehouse.tables("activation_") == []


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("COPY (SELECT 1) TO '{folder}/out.csv'", "PermissionException"),
        ("SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'", "PermissionException"),
        ("EXPORT DATABASE '{folder}/out'", "PermissionException"),
        ("ATTACH '{folder}/out.duckdb' AS late", "PermissionException"),
        ("INSTALL httpfs", "PermissionException"),
        ("LOAD httpfs", "PermissionException"),
        ("SELECT * FROM read_csv('https://example.com/x.csv')", "PermissionException"),
        ("SET enable_external_access = true", "InvalidInputException"),
        ("SET lock_configuration = false", "InvalidInputException"),
        ("RESET lock_configuration", "InvalidInputException"),
        ("SET threads = 1", "InvalidInputException"),
        ("SET allowed_directories = ['/']", "InvalidInputException"),
        ("PRAGMA threads = 1", "InvalidInputException"),
        ("SELECT getenv('SECRET_KEY')", "CatalogException"),
        ("SELECT * FROM request", "CatalogException"),  # a variable of the child, which DuckDB could look up
    ],
)
def test_a_statement_that_reaches_out_is_refused_at_once(
    statement: str, detail: str, make_file: MakeFile, open_file: OpenFile, tmp_path: Path
) -> None:
    warehouse = open_file(make_file("CREATE TABLE t AS SELECT 1 AS a"))
    assert warehouse.fetch("SELECT 1") == [(1,)]
    started = time.monotonic()
    with pytest.raises(QueryFailed) as refusal:
        warehouse.fetch(statement.format(folder=tmp_path))
    assert time.monotonic() - started < 10, "it must not have waited for the network"
    assert refusal.value.detail == detail
    assert str(tmp_path) not in str(refusal.value)
    assert not list(tmp_path.glob("out*"))


def test_the_child_knows_nothing_of_our_environment(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file("CREATE TABLE t AS SELECT 1 AS a"))
    warehouse.fetch("SELECT 1")
    (child,) = warehouse._children._idle
    environment = Path(f"/proc/{child.pid}/environ").read_text()
    assert {line.split("=")[0] for line in environment.split("\0") if line} == set(duckdb_process.ENVIRONMENT)


def test_the_customers_file_cannot_be_written(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file("CREATE TABLE t AS SELECT 1 AS a")
    before = file.read_bytes()
    warehouse = open_file(file)
    table = warehouse.dialect.relation(Relation("main", "t"))
    assert warehouse.fetch(f"SELECT a FROM {table}") == [(1,)]
    with pytest.raises(QueryFailed):
        warehouse.fetch(f"INSERT INTO {table} VALUES (2)")
    assert file.read_bytes() == before


def test_what_a_statement_says_in_its_error_stays_in_the_child(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file("CREATE TABLE t AS SELECT 'anna@example.com' AS email"))
    with pytest.raises(QueryFailed) as failure:
        warehouse.fetch(f"SELECT CAST(email AS INTEGER) FROM {warehouse.dialect.relation(Relation('main', 't'))}")
    assert failure.value.detail == "ConversionException"
    assert "anna" not in told(failure.value)


def test_a_file_outside_the_folder_is_refused(make_file: MakeFile, open_file: OpenFile, folder: Path) -> None:
    inside = make_file("CREATE TABLE t AS SELECT 1 AS a")
    assert open_file(inside).schemas() == ["main"]
    assert open_file("shop.duckdb").schemas() == ["main"]
    sibling = folder.with_name(f"{folder.name}-of-others") / "shop.duckdb"
    sibling.parent.mkdir()
    outside = inside.rename(sibling)
    (folder / "link.duckdb").symlink_to(outside)
    (folder / "folder").symlink_to(outside.parent)
    refused = [outside, f"../{outside.parent.name}/shop.duckdb", "link.duckdb", "folder/shop.duckdb", "", "a\0b"]
    for file in refused:
        with pytest.raises(FileRefused):
            open_file(file).schemas()


def test_a_link_that_stays_in_the_folder_is_followed(make_file: MakeFile, open_file: OpenFile, folder: Path) -> None:
    make_file("CREATE TABLE t AS SELECT 1 AS a", name="shop-2026.duckdb")
    (folder / "shop.duckdb").symlink_to("shop-2026.duckdb")
    assert open_file("shop.duckdb").relations("main") == ["t"]


def test_a_write_ahead_log_from_elsewhere_is_refused(make_file: MakeFile, open_file: OpenFile, tmp_path: Path) -> None:
    file = make_file("CREATE TABLE t AS SELECT 1 AS a")
    elsewhere = tmp_path / "log"
    elsewhere.write_bytes(b"")
    file.with_name("shop.duckdb.wal").symlink_to(elsewhere)
    with pytest.raises(FileRefused):
        open_file(file).schemas()


def test_a_pipe_or_a_folder_is_refused_without_waiting_for_it(open_file: OpenFile, folder: Path) -> None:
    os.mkfifo(folder / "pipe.duckdb")
    (folder / "folder.duckdb").mkdir()
    for name in ("pipe.duckdb", "folder.duckdb"):
        with pytest.raises(FileRefused):
            open_file(name).schemas()


def test_a_file_of_another_kind_is_said_to_be_one(open_file: OpenFile, folder: Path) -> None:
    (folder / "text.duckdb").write_text("no database " * 1000)
    (folder / "lite.duckdb").write_bytes(b"SQLite format 3\0" + bytes(4096))
    for name in ("text.duckdb", "lite.duckdb"):
        with pytest.raises(QueryFailed, match="cannot be read as a DuckDB database"):
            open_file(name).schemas()
    with pytest.raises(WarehouseUnreachable, match="not there"):
        open_file("none.duckdb").schemas()


PARENT = """
import sys
from pathlib import Path
from projects.warehouses.duckdb import DuckDBWarehouse
folder = Path(sys.argv[1])
warehouse = DuckDBWarehouse(folder / "shop.duckdb", folder=folder, snapshot_dir=folder / "snapshots")
folder.joinpath("snapshots").mkdir()
child = warehouse._children._take()
print(child.pid, flush=True)
answer = child.ask({"customer": None, "snapshots": [], "output": None, "sql": "SELECT sum(hash(i)) FROM range(1000000000000) r(i)",
                    "parameters": [], "batch_rows": 1, "memory_limit": "100MB", "threads": 1})
answer.finish()
"""


def test_a_child_ends_with_its_parent_even_in_the_middle_of_a_statement(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.7)  # the statement is running
    assert Path(f"/proc/{child}").exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
