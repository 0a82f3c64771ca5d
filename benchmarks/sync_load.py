"""Full syncs beside `redis-cli --pipe` loading the same bytes, in interleaved pairs, each into a fresh server.

The steps run in Celery load processes, one a core, as in production; 10,000 suppressions stand. Cases: from DuckDB,
from PostgreSQL, and from DuckDB into a cluster of three primaries (its yardstick is one server: --pipe knows no
cluster).
"""

import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from benchmarks import data, pipe
from config.embedded import EmbeddedServer

SUPPRESSIONS = 10_000
CASES = ("duckdb", "postgresql", "cluster")
BYTES_A_ROW = 5_000  # on disk: warehouse, snapshots and the stream of commands, with room to spare
MOST_SECONDS = 3_600


@dataclass
class Measured:
    """One sync: rows, seconds, and the largest memory in MB of a load process and of a DuckDB process it started."""

    rows: int
    load: float
    whole: float
    memory: float
    warehouse: float


def run(folder: Path, *, rows: int, pairs: int, cases: tuple[str, ...] = CASES) -> None:
    """Print rows/s of both and their ratios (median of the pairs) for each case."""
    free = shutil.disk_usage(folder).free
    print(f"\nfree disk: {free / 2**30:.0f} GiB; {rows * BYTES_A_ROW / 2**30:.1f} GiB are needed")
    if free < rows * BYTES_A_ROW:
        print("syncs: not enough disk, not measured")
        return
    call_command("migrate", verbosity=0)
    with _broker(), _workers(folder) as workers:
        for case in cases:
            _measure(folder / case, case, workers, rows=rows, pairs=pairs)


@contextmanager
def _broker() -> Iterator[None]:
    from tests import environment

    with EmbeddedServer(
        Path(environment.FOLDER) / "broker", port=environment.BROKER_PORT, password=environment.BROKER_PASSWORD
    ):
        yield


@contextmanager
def _workers(folder: Path) -> Iterator:
    import os

    from tests.faults.workers import LoadWorker

    with LoadWorker(folder, processes=os.cpu_count() or 1) as workers:
        yield workers


def _measure(folder: Path, case: str, workers, *, rows: int, pairs: int) -> None:
    from tests.activation import world as worlds
    from tests.cast import founder

    folder.mkdir()
    by = founder(case, f"{case}@example.com").actor
    syncs, pipes = [], []
    with ExitStack() as stack:
        with EmbeddedServer(folder / "first") as server:
            world = worlds.build(by, server)
            if case == "postgresql":
                data.move_to_postgresql(world, stack, rows=rows)
            else:
                data.build(world.file, rows=rows)
            _suppress(world)
            _sync(world, _one(server), workers)
            size = pipe.write_commands(world.redis, folder / "commands.resp")
        print(f"\nfull sync ({case}) of {rows:,} rows of 20 columns, {size / rows:,.0f} bytes a command")
        for pair in range(pairs):
            with EmbeddedServer(folder / f"pipe-{pair}") as server:
                pipes.append(rows / pipe.load(server, folder / "commands.resp"))
            with _destination(folder / f"sync-{pair}", case) as settings:
                syncs.append(_sync(world, settings, workers))
    assert all(sync.rows == rows for sync in syncs)
    _report(syncs, pipes)


def _report(syncs: list[Measured], pipes: list[float]) -> None:
    print(f"  {pipe.NAME:<22}{statistics.median(pipes):>12,.0f} rows/s   (yardstick)")
    for name, seconds in (("load phase", lambda sync: sync.load), ("whole run", lambda sync: sync.whole)):
        speeds = [sync.rows / seconds(sync) for sync in syncs]
        ratio = statistics.median(speed / yardstick for speed, yardstick in zip(speeds, pipes, strict=True))
        print(f"  {name:<22}{statistics.median(speeds):>12,.0f} rows/s   {ratio:.2f} of the yardstick")
    print(f"  {'a load process':<22}{max(sync.memory for sync in syncs):>12,.0f} MB at most")
    if warehouse := max(sync.warehouse for sync in syncs):
        print(f"  {'its DuckDB process':<22}{warehouse:>12,.0f} MB at most (its limit is 1 GB)")


def _one(server: EmbeddedServer) -> tuple[dict[str, object], str]:
    return {"address": server.address}, server.password


@contextmanager
def _destination(folder: Path, case: str) -> Iterator[tuple[dict[str, object], str]]:
    """Start a fresh server, or cluster, and give settings and password."""
    if case != "cluster":
        with EmbeddedServer(folder) as server:
            yield _one(server)
        return
    from tests.redis_servers import ValkeyCluster

    with ValkeyCluster(folder) as cluster:
        addresses = ",".join(server.address for server in cluster.servers)
        yield {"address": addresses, "clusterMode": True}, cluster.password


def _suppress(world) -> None:
    """Have many people deleted long ago, none of whom is in the view."""
    from activation import suppressions

    keys = [world.key(f"gone{number}@example.com") for number in range(SUPPRESSIONS)]
    now = timezone.now()
    suppressions.settle(suppressions.suppress(world.source.destination, keys, by=world.by, now=now), now=now)


def _sync(world, destination: tuple[dict[str, object], str], workers) -> Measured:
    """Sync into a fresh server: the first run of a source that never ran."""
    from accounts import vault
    from activation.models import DirtyId, RedisDestination, Source, SyncRun
    from tests.faults.workers import ENDED, tick

    sources = Source.objects.filter(pk=world.source.pk)
    SyncRun.objects.filter(source=world.source).delete()
    DirtyId.objects.filter(source=world.source).delete()
    sources.update(base_snapshot="", base_rows=0, base_run=None, dirty_tables=[], tombstones=[], base_evictions={})
    record = RedisDestination.objects.get(pk=world.source.destination_id)
    settings, password = destination
    record.settings, record.credentials = settings, vault.encrypt(json.dumps({"password": password}))
    record.version += 1
    record.save()
    _forget(workers)
    memory: dict[bool, float] = {True: 0, False: 0}
    started = time.perf_counter()
    run, next_tick = world.start(), 0.0
    while run.state not in ENDED:
        if time.perf_counter() >= next_tick:  # as often as beat does
            tick()
            next_tick = time.perf_counter() + 1
        _look_at_memory(workers, memory)
        time.sleep(0.1)
        run.refresh_from_db(fields=["state"])
        assert time.perf_counter() - started < MOST_SECONDS
    whole = time.perf_counter() - started
    run = world.again(run)
    assert run.state == "succeeded", run.error
    load = (run.finishing_at - run.loading_at).total_seconds()
    return Measured(rows=run.written, load=load, whole=whole, memory=memory[True], warehouse=memory[False])


def _forget(workers) -> None:
    """Start the processes' largest memory anew (Linux)."""
    for pid in workers.children():
        if Path(f"/proc/{pid}/clear_refs").exists():
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _look_at_memory(workers, peaks: dict[bool, float]) -> None:
    """Note the largest memory that load processes (True) and theirs (False) had so far, in MB (Linux; elsewhere 0)."""
    for pid in workers.children():
        peaks[True] = max(peaks[True], _largest(pid))
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                peaks[False] = max([peaks[False], *(_largest(int(child)) for child in thread.read_text().split())])


def _largest(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1_000
    return 0
