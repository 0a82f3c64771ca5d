"""Runs syncs in Celery load processes, as in production, and measures them from outside."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.utils import timezone

from benchmarks import machine
from config import supervisor
from config.embedded import EmbeddedServer

SUPPRESSIONS = 10_000
NICE = 10  # what load processes are started with beside Redis or the API (docs/operating.md)
MOST_SECONDS = 3_600
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """One sync: rows written, seconds, and what the load processes used.

    `memory` is the largest memory in MB of a load process, `warehouse` that of a DuckDB process of theirs; `cpu` has
    the seconds each load process used itself, `warehouse_cpu` those of the DuckDB processes of each, `before_load` all
    of theirs before the load phase.
    """

    rows: int
    load: float
    whole: float
    memory: float
    warehouse: float
    cpu: list[float]
    warehouse_cpu: list[float]
    before_load: float

    @property
    def all_cpu(self) -> float:
        """The CPU seconds of the load processes and theirs."""
        return sum(self.cpu) + sum(self.warehouse_cpu)


@contextmanager
def broker() -> Iterator[None]:
    """Start the broker that the settings name."""
    from tests import environment

    with EmbeddedServer(
        Path(environment.FOLDER) / "broker", port=environment.BROKER_PORT, password=environment.BROKER_PASSWORD
    ):
        yield


@contextmanager
def load_processes(folder: Path, *, processes: int | None = None, nice: int = NICE) -> Iterator:
    """Start a worker with some load processes: one a core unless told."""
    from tests.faults.workers import LoadWorker

    with LoadWorker(folder, processes=processes or os.cpu_count() or 1) as workers:
        group = os.getpgid(workers.children()[0])
        os.setpriority(os.PRIO_PGRP, group, nice)
        supervisor.share_cores(group, nice=nice)
        yield workers


def one(server: EmbeddedServer) -> tuple[dict[str, object], str]:
    """Return the settings and the password of a destination that is one server."""
    return {"address": server.address}, server.password


def suppress_others(world) -> None:
    """Have many people deleted long ago, none of whom is in the view."""
    from activation import suppressions

    keys = [world.key(f"gone{number}@example.com") for number in range(SUPPRESSIONS)]
    now = timezone.now()
    suppressed = suppressions.suppress(world.source.destination, keys, by=world.by, now=now)
    suppressions.settle(suppressed, written=(), now=now)


def start_afresh(world, destination: tuple[dict[str, object], str]) -> None:
    """Make the source one that never ran, and have it sync into another server."""
    from accounts import vault
    from activation.models import DirtyId, RedisDestination, Source, SyncRun

    SyncRun.objects.filter(source=world.source).delete()
    DirtyId.objects.filter(source=world.source).delete()
    Source.objects.filter(pk=world.source.pk).update(
        base_snapshot="", base_rows=0, base_run=None, dirty_tables=[], tombstones=[], base_evictions={}
    )
    record = RedisDestination.objects.get(pk=world.source.destination_id)
    settings, password = destination
    record.settings, record.credentials = settings, vault.encrypt(json.dumps({"password": password}))
    record.version += 1
    record.save()


def sync(world, workers) -> Measured:
    """Run a sync to its end."""
    from tests.faults.workers import ENDED, tick

    _forget(workers)
    before = {pid: _cpu(pid) for pid in workers.children()}
    memory: dict[bool, float] = {True: 0, False: 0}
    started = time.perf_counter()
    run, next_tick, before_load = world.start(), 0.0, 0.0
    while run.state not in ENDED:
        if time.perf_counter() >= next_tick:  # as often as beat does
            tick()
            next_tick = time.perf_counter() + 1
        _look_at_memory(workers, memory)
        time.sleep(0.1)
        run.refresh_from_db(fields=["state"])
        if run.state in {"queued", "snapshot"}:
            before_load = sum(sum(_cpu(pid)) - sum(before[pid]) for pid in before)
        assert time.perf_counter() - started < MOST_SECONDS
    run = world.again(run)
    assert run.state == "succeeded", run.error
    used = [(own - before[pid][0], theirs - before[pid][1]) for pid in before for own, theirs in [_cpu(pid)]]
    return Measured(
        rows=run.written,
        load=(run.finishing_at - run.loading_at).total_seconds(),
        whole=(run.finished_at - run.queued_at).total_seconds(),
        memory=memory[True],
        warehouse=memory[False],
        cpu=[own for own, _ in used],
        warehouse_cpu=[theirs for _, theirs in used],
        before_load=before_load,
    )


def _cpu(pid: int) -> tuple[float, float]:
    """Return the seconds that a process used itself, and those that the processes it started used (Linux)."""
    own, theirs = _times(pid)
    return own, theirs + sum(sum(_times(child)) for child in machine.children(pid))


def _times(pid: int) -> tuple[float, float]:
    """Return the seconds that a process used itself, and those that the processes it started and ended used (Linux)."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK, (int(fields[13]) + int(fields[14])) / TICK
    return 0.0, 0.0


def _forget(workers) -> None:
    """Start the processes' largest memory anew (Linux)."""
    for pid in workers.children():
        if Path(f"/proc/{pid}/clear_refs").exists():
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _look_at_memory(workers, peaks: dict[bool, float]) -> None:
    """Note the largest memory that load processes (True) and theirs (False) had so far, in MB (Linux; elsewhere 0)."""
    for pid in workers.children():
        peaks[True] = max(peaks[True], _largest(pid))
        for child in machine.children(pid):
            peaks[False] = max(peaks[False], _largest(child))


def _largest(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1_000
    return 0
