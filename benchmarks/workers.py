"""The same full sync with one load process and with two: who did how much, and how much sooner it was done."""

import statistics
from pathlib import Path

from benchmarks import data, machine, syncs
from config.embedded import EmbeddedServer

BYTES_A_ROW = 1_000
MEMORY_A_ROW = 900
COUNTS = (1, 2)


def run(folder: Path, *, rows: int, pairs: int) -> None:
    """Print the load phase of both (medians of the pairs), CPU by process, and how often a partition was begun."""
    from tests.activation import world as worlds
    from tests.cast import founder

    room = machine.room(folder, disk=rows * BYTES_A_ROW, memory=rows * MEMORY_A_ROW)
    print(f"\none load process and two, {rows:,} rows; {room}")
    if room.endswith("not enough"):
        return
    folder = folder / "workers"
    folder.mkdir()
    with syncs.broker(), EmbeddedServer(folder / "first") as server:
        world = worlds.build(founder("Workers", "workers@example.com").actor, server)
        data.build(world.file, rows=rows)
        syncs.suppress_others(world)
        found: dict[int, list[syncs.Measured]] = {count: [] for count in COUNTS}
        begun = 0
        for pair in range(pairs):
            for count in COUNTS:
                found[count].append(_sync(world, folder / f"{pair}-{count}", processes=count))
                begun = max(begun, _most_begun(world))
    _report(found, begun)


def _sync(world, folder: Path, *, processes: int) -> syncs.Measured:
    with EmbeddedServer(folder) as server, syncs.load_processes(folder, processes=processes) as workers:
        syncs.start_afresh(world, syncs.one(server))
        return syncs.sync(world, workers)


def _most_begun(world) -> int:
    """Return how often the partition that was begun most often was begun."""
    from activation.models import SyncPartition

    partitions = SyncPartition.objects.filter(run__source=world.source)
    return max(partitions.values_list("attempt", flat=True))


def _report(found: dict[int, list[syncs.Measured]], begun: int) -> None:
    for count, runs in found.items():
        load = statistics.median(run.load for run in runs)
        print(f"  {f'{count} load process(es)':<22}{runs[0].rows / load:>11,.0f} rows/s in the load phase")
        for run in runs:
            shares = ", ".join(
                f"{own:.1f} + {theirs:.1f}" for own, theirs in zip(run.cpu, run.warehouse_cpu, strict=True)
            )
            print(f"  {'':<22}CPU seconds of each and of its DuckDB: {shares}")
    few, many = (found[count] for count in COUNTS)
    ratio = statistics.median(one.load / two.load for one, two in zip(few, many, strict=True))
    print(f"  two are {ratio:.2f} × as fast as one; every partition was begun {begun} time(s) at most")
