"""DuckDB processes between two warehouses: who gets them, who must not, and when they end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from projects.warehouses import duckdb_process
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.duckdb_children import MOST_WAITING, WAITING
from projects.warehouses.port import QueryCancelled, QueryFailed, WarehouseUnreachable

MakeFile = Callable[..., Path]
OpenFile = Callable[..., DuckDBWarehouse]
TABLE = "CREATE TABLE t AS SELECT 1 AS a"
SNAPSHOT = "activation_0a1b2c3d_1_1_snapshot"
FOREVER = "SELECT sum(hash(i)) FROM range(1000000000000) r(i)"


@pytest.fixture(autouse=True)
def none_waits() -> Iterator[None]:
    WAITING.end()
    yield
    WAITING.end()


def used(warehouse: DuckDBWarehouse) -> int:
    """Have a warehouse answer something and close it; return the process that answered."""
    assert warehouse.fetch("SELECT 1") == [(1,)]
    (child,) = warehouse._children._idle
    warehouse.close()
    return child.pid


def waiting() -> list[int]:
    return [child.pid for _, child in WAITING._children]


def ended(pid: int) -> bool:
    """Tell whether a process ended; nobody may have waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while not ended(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return ended(pid)


def test_the_next_warehouse_on_the_file_gets_the_process_of_the_last(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(TABLE)
    assert used(open_file(file)) == used(open_file(file))


def test_a_warehouse_on_another_file_gets_one_of_its_own(make_file: MakeFile, open_file: OpenFile) -> None:
    first = used(open_file(make_file(TABLE)))
    assert used(open_file(make_file(TABLE, name="other.duckdb"))) != first


def test_nothing_of_one_warehouse_is_there_for_the_next(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(TABLE)
    first = open_file(file)
    first.create(SNAPSHOT, "SELECT 1 AS a")
    query = f"SELECT a FROM {first.dialect.snapshot(SNAPSHOT)}"
    assert first.fetch(query, uses=[SNAPSHOT]) == [(1,)]
    pid = used(first)

    second = open_file(file)
    with pytest.raises(QueryFailed):
        second.fetch(query)
    assert second._children._idle[0].pid == pid


def test_a_process_whose_statement_failed_is_not_passed_on(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(TABLE))
    with pytest.raises(QueryFailed):
        warehouse.fetch("SELECT error('x')")
    pid = used(warehouse)
    assert waiting() == []
    assert ended(pid)


def test_a_process_that_was_stopped_is_not_passed_on(make_file: MakeFile, open_file: OpenFile) -> None:
    warehouse = open_file(make_file(TABLE))
    assert warehouse.fetch("SELECT 1") == [(1,)]
    (child,) = warehouse._children._idle
    timer = threading.Timer(0.3, warehouse.cancel)
    timer.start()
    with pytest.raises(QueryCancelled):
        warehouse.fetch(FOREVER)
    timer.join()
    warehouse.close()
    assert (waiting(), ended(child.pid)) == ([], True)


def test_a_process_that_dies_while_it_waits_is_replaced(make_file: MakeFile, open_file: OpenFile) -> None:
    file = make_file(TABLE)
    pid = used(open_file(file))
    ((_, child),) = WAITING._children
    child._process.kill()
    child._process.wait()
    assert used(open_file(file)) != pid


def test_a_process_that_dies_at_its_work_is_a_fault_and_is_not_passed_on(
    make_file: MakeFile, open_file: OpenFile
) -> None:
    file = make_file(TABLE)
    pid = used(open_file(file))
    warehouse = open_file(file)
    timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(WarehouseUnreachable):
        warehouse.fetch(FOREVER)
    timer.join()
    warehouse.close()
    assert waiting() == []


def test_only_a_few_wait_and_the_longest_waiting_goes_first(make_file: MakeFile, open_file: OpenFile) -> None:
    pids = [used(open_file(make_file(TABLE, name=f"{n}.duckdb"))) for n in range(MOST_WAITING + 1)]
    assert waiting() == pids[1:]
    assert ended(pids[0])


def test_a_process_without_work_ends_by_itself_and_takes_its_folder_along(
    make_file: MakeFile, open_file: OpenFile, snapshot_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_process, "REUSED_WITHIN", 1.0)
    monkeypatch.setattr(duckdb_process, "ENDS_AFTER", 2.0)
    file = make_file(TABLE)
    pid = used(open_file(file))
    assert ends(pid)
    assert list(snapshot_dir.iterdir()) == []
    assert used(open_file(file)) != pid


def test_a_process_that_is_about_to_end_is_not_asked(
    make_file: MakeFile, open_file: OpenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_process, "REUSED_WITHIN", 0)
    file = make_file(TABLE)
    warehouse = open_file(file)
    assert warehouse.fetch("SELECT 1") == [(1,)]
    (child,) = warehouse._children._idle
    assert used(warehouse) != child.pid
    assert ended(child.pid), "the one that was passed over is ended"
    assert used(open_file(file)) not in waiting()[:-1]


def test_it_ends_with_the_process_that_keeps_it(make_file: MakeFile, folder: Path) -> None:
    make_file(TABLE)
    (child,) = run_script("print(used())", folder)
    assert ends(int(child))
    assert list(folder.joinpath("snapshots").iterdir()) == []


def test_a_forked_process_starts_with_none_and_leaves_its_parents_alone(make_file: MakeFile, folder: Path) -> None:
    make_file(TABLE)
    before, forked, after = run_script(
        """
print(used(), flush=True)
pid = os.fork()
if not pid:
    print(used(), flush=True)
    WAITING.end()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print(used(), flush=True)
""",
        folder,
    )
    assert before == after != forked


def test_it_ends_with_the_process_that_keeps_it_also_when_a_forked_one_lives_on(
    make_file: MakeFile, folder: Path
) -> None:
    make_file(TABLE)
    child, forked = run_script(
        """
child, pid = used(), os.fork()
if not pid:
    os.close(0), os.close(1), os.close(2)
    time.sleep(60)
    os._exit(0)
print(child, pid, flush=True)
os.kill(os.getpid(), 9)
""",
        folder,
        exits=-signal.SIGKILL,
    )
    try:
        assert not ended(int(forked))
        assert ends(int(child))
    finally:
        os.kill(int(forked), signal.SIGKILL)


SCRIPT = """
import os, sys, time
from pathlib import Path
from projects.warehouses.duckdb import DuckDBWarehouse
from projects.warehouses.duckdb_children import WAITING
folder = Path(sys.argv[1])

def used():
    file = folder / "shop.duckdb"
    with DuckDBWarehouse(file, folder=folder, snapshot_dir=folder / "snapshots") as warehouse:
        assert warehouse.fetch("SELECT 1") == [(1,)]
        return warehouse._children._idle[0].pid
"""


def run_script(script: str, folder: Path, *, exits: int = 0) -> list[str]:
    """Run a script in a process of its own, warnings as errors, and return the words that it prints."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT + script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (exits, "")
    return done.stdout.split()
