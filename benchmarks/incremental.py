"""One sync after the other as a source lives: full, one row in a hundred changed, nothing changed.

Prints what each cost beside the full one, how much reading the partitions one by one reads beyond reading the snapshot
once, the memory of load processes, and Redis' memory per profile; for each number of rows, so that growth shows.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import data, machine, syncs
from config.embedded import EmbeddedServer

CASES = ("duckdb", "postgresql")
BYTES_A_ROW = {"duckdb": 2_000, "postgresql": 4_000}  # on disk: the view, three snapshots, what is spilled
MEMORY_A_ROW = 900
# What Redis counts as calls of commands that write.
WRITES = frozenset({"hset", "hdel", "set", "del", "unlink", "evalsha"})


def run(folder: Path, *, rows: Sequence[int], case: str) -> None:
    """Measure at each number of rows."""
    memory = []
    with syncs.broker():
        for count in rows:
            room = machine.room(folder, disk=count * BYTES_A_ROW[case], memory=count * MEMORY_A_ROW)
            print(f"\nincremental ({case}) at {count:,} rows; {room}")
            if not room.endswith("not enough"):
                memory.append(_measure(folder / f"incremental-{case}-{count}", case, count))
    if len(memory) > 1:
        print(f"\nmemory of a load process at most, {rows[-1]:,} rows beside {rows[0]:,}: {memory[-1] / memory[0]:.2f}")


def _measure(folder: Path, case: str, rows: int) -> float:
    """Measure at a number of rows and return the largest memory of a load process in the full run."""
    from tests.activation import world as worlds
    from tests.cast import founder

    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(folder / "destination"))
        world = worlds.build(founder(folder.name, f"{folder.name}@example.com").actor, server)
        if case == "postgresql":
            change = partial(data.move_to_postgresql(world, stack, rows=rows), data.CHANGES)
        else:
            data.build(world.file, rows=rows)
            change = partial(data.change_in_file, world.file)
        workers = stack.enter_context(syncs.load_processes(folder))  # after the warehouse: its memory counts anew
        syncs.suppress_others(world)
        empty = world.redis.info("memory")["used_memory"]
        redis_cpu = _cpu(world)
        full = syncs.sync(world, workers)
        redis_cpu = _cpu(world) - redis_cpu
        used = world.redis.info("memory")["used_memory"] - empty
        _report_full(full)
        print(
            f"  {'Redis':<22}{used / rows:>11,.0f} bytes a profile, {used / rows - _content(world):,.0f} beside key, field, JSON"
        )
        print(f"  {'CPU a row, µs':<22}{_per_row(full, redis_cpu)}")
        print(f"  partition by partition beside once{_read_again(world, case):>9.2f} × read")
        change()
        _report("1 % changed", syncs.sync(world, workers), full)
        before = _writes(world)
        _report("no change", syncs.sync(world, workers), full)
        done = {name: calls - before.get(name, 0) for name, calls in _writes(world).items()}
        print(f"  {'its writes to Redis':<22}{_listed(done)}")
        return full.memory


def _report_full(full: syncs.Measured) -> None:
    print(
        f"  {'full':<22}{full.rows:>11,} rows   load {full.load:>7.2f} s   whole {full.whole:>7.2f} s"
        f"   CPU {full.all_cpu:.1f} s"
    )
    print(f"  {'a load process':<22}{full.memory:>11,.0f} MB at most")
    if full.warehouse:
        print(f"  {'its DuckDB process':<22}{full.warehouse:>11,.0f} MB at most (its limit is 1 GB)")


def _per_row(full: syncs.Measured, redis_cpu: float) -> str:
    """Tell the CPU a row of the full run, step by step; PostgreSQL's own is not known."""
    loading = full.all_cpu - full.before_load
    steps = {
        "snapshot": full.before_load,
        "load processes": sum(full.cpu),
        "DuckDB while loading": loading - sum(full.cpu),
        "Redis": redis_cpu,
    }
    return ", ".join(f"{name} {seconds / full.rows * 1e6:.1f}" for name, seconds in steps.items())


def _report(name: str, run: syncs.Measured, full: syncs.Measured) -> None:
    print(
        f"  {name:<22}{run.rows:>11,} rows   load {run.load:>7.2f} s   whole {run.whole:>7.2f} s   CPU {run.all_cpu:.1f} s"
        f"   1/{full.load / run.load:.0f} and 1/{full.whole / run.whole:.1f} of the full one's"
    )


def _read_again(world, case: str) -> float:
    """Read the full run's partitions as load processes do; return what was read beside reading the snapshot once.

    From DuckDB in bytes that its process read, from PostgreSQL in rows that scans and indexes touched.
    """
    from activation.engine import snapshots
    from activation.models import SyncRun
    from activation.run_resources import columns_of
    from projects.warehouses.port import Part

    run = SyncRun.objects.filter(source=world.source).latest("pk")
    columns, partitions = columns_of(run.columns), run.partitions.count()

    def by_partition(warehouse) -> None:
        for number in range(partitions):
            for _ in snapshots.read_upserts(
                warehouse, columns, snapshot=run.snapshot, part=Part(number, of=partitions)
            ):
                continue

    def once(warehouse) -> None:
        values = snapshots.values(warehouse.dialect, columns)
        read = ", ".join(f"{value.expression} AS v{place}" for place, value in enumerate(values))
        query = f'SELECT "_id", {read} FROM {warehouse.dialect.snapshot(run.snapshot)}'
        for _ in warehouse.stream(query, uses=[run.snapshot]):
            continue

    cost = _bytes if case == "duckdb" else partial(_touched, run.snapshot)
    return cost(run.source, by_partition) / cost(run.source, once)


def _bytes(source, read: Callable) -> int:
    from activation.run_resources import warehouse_of

    with warehouse_of(source) as warehouse:
        warehouse.fetch("SELECT 1")  # starts its process; those of other sizes may still be kept
        kept = [pid for pid in machine.children(os.getpid()) if "duckdb_child" in machine.command(pid)]
        before = sum(map(machine.bytes_read, kept))
        read(warehouse)
        return sum(map(machine.bytes_read, kept)) - before


def _touched(table: str, source, read: Callable) -> int:
    from activation.run_resources import warehouse_of

    def count() -> int:
        time.sleep(1.1)  # a session that ends hands in its counts
        with warehouse_of(source) as warehouse:
            query = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = ?"
            [(rows,)] = warehouse.fetch(query, (table,))
        return int(str(rows))

    before = count()
    with warehouse_of(source) as warehouse:
        read(warehouse)
    return count() - before


def _cpu(world) -> float:
    used = world.redis.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def _content(world) -> float:
    """Return the mean bytes of key, field and JSON of some profiles.

    They are not read as applications do, for whom the next sync would leave room.
    """
    keys = itertools.islice(world.redis.scan_iter("*:user:email:*", count=1_000), 1_000)
    return statistics.mean(
        len(key) + sum(len(field) + len(value) for field, value in world.redis.hscan_iter(key)) for key in keys
    )


def _writes(world) -> dict[str, int]:
    stats = world.redis.info("commandstats").items()
    calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats}
    return {name: calls.get(name, 0) for name in sorted(WRITES)}


def _listed(calls: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in calls.items() if count) or "none"
