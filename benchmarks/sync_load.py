"""Full syncs beside `redis-cli --pipe` loading the same bytes, in interleaved pairs, each into a fresh server.

The steps run in Celery load processes, one a core, as in production; 10,000 suppressions stand. Cases: from DuckDB,
from PostgreSQL, and from DuckDB into a cluster of three primaries (its yardstick is one server: --pipe knows no
cluster).
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import data, machine, pipe, syncs
from config.embedded import EmbeddedServer

CASES = ("duckdb", "postgresql", "cluster")
BYTES_A_ROW = 5_000  # on disk: warehouse, snapshots and the stream of commands, with room to spare
MEMORY_A_ROW = 1_500  # Redis, and what is read again from the disk's cache


def run(folder: Path, *, rows: int, pairs: int, cases: tuple[str, ...] = CASES) -> None:
    """Print rows/s of both and their ratios (median of the pairs) for each case."""
    room = machine.room(folder, disk=rows * BYTES_A_ROW, memory=rows * MEMORY_A_ROW)
    print(f"\nfull syncs: {room}")
    if room.endswith("not enough"):
        return
    with syncs.broker(), syncs.load_processes(folder) as workers:
        for case in cases:
            _measure(folder / case, case, workers, rows=rows, pairs=pairs)


def _measure(folder: Path, case: str, workers, *, rows: int, pairs: int) -> None:
    from tests.activation import world as worlds
    from tests.cast import founder

    folder.mkdir()
    by = founder(case, f"{case}@example.com").actor
    runs, pipes = [], []
    with ExitStack() as stack:
        with EmbeddedServer(folder / "first") as server:
            world = worlds.build(by, server)
            if case == "postgresql":
                data.move_to_postgresql(world, stack, rows=rows)
            else:
                data.build(world.file, rows=rows)
            syncs.suppress_others(world)
            syncs.start_afresh(world, syncs.one(server))
            syncs.sync(world, workers)
            size = pipe.write_commands(world.redis, folder / "commands.resp")
        print(f"\nfull sync ({case}) of {rows:,} rows of 20 columns, {size / rows:,.0f} bytes a command")
        for pair in range(pairs):
            with EmbeddedServer(folder / f"pipe-{pair}") as server:
                pipes.append(rows / pipe.load(server, folder / "commands.resp"))
            with _destination(folder / f"sync-{pair}", case) as settings:
                syncs.start_afresh(world, settings)
                runs.append(syncs.sync(world, workers))
    assert all(run.rows == rows for run in runs)
    _report(runs, pipes)


def _report(runs: list[syncs.Measured], pipes: list[float]) -> None:
    print(f"  {pipe.NAME:<22}{statistics.median(pipes):>12,.0f} rows/s   (yardstick)")
    for name, seconds in (("load phase", lambda run: run.load), ("whole run", lambda run: run.whole)):
        speeds = [run.rows / seconds(run) for run in runs]
        ratio = statistics.median(speed / yardstick for speed, yardstick in zip(speeds, pipes, strict=True))
        print(f"  {name:<22}{statistics.median(speeds):>12,.0f} rows/s   {ratio:.2f} of the yardstick")
    print(f"  {'a load process':<22}{max(run.memory for run in runs):>12,.0f} MB at most")
    if warehouse := max(run.warehouse for run in runs):
        print(f"  {'its DuckDB process':<22}{warehouse:>12,.0f} MB at most (its limit is 1 GB)")


@contextmanager
def _destination(folder: Path, case: str) -> Iterator[tuple[dict[str, object], str]]:
    """Start a fresh server, or cluster, and give settings and password."""
    if case != "cluster":
        with EmbeddedServer(folder) as server:
            yield syncs.one(server)
        return
    from tests.redis_servers import ValkeyCluster

    with ValkeyCluster(folder) as cluster:
        addresses = ",".join(server.address for server in cluster.servers)
        yield {"address": addresses, "clusterMode": True}, cluster.password
