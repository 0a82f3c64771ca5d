"""Histories with real processes: whatever dies, sleeps or loses its data, the next sync makes everything exact.

Dice of a seed choose what happens and when. A failure names its seed; `CHAOS_SEED` repeats its choices, as far as
processes can be repeated.
"""

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

import duckdb
import pytest
import redis
from django.db import connection
from django.utils import timezone

from accounts import tokens
from accounts.identities import TokenIdentity
from activation import erasures, handles, serving, suppressions, syncs
from activation.models import Activation, RunState, SyncRun
from activation.serving import ProfileId
from config.embedded import EmbeddedServer
from tests.activation.world import World, build, expected
from tests.cast import Member
from tests.faults.scenes import Cluster, OneServer, Scene
from tests.faults.workers import LoadWorker, ended, tick, wait_for
from tests.redis_servers import ValkeyCluster

pytestmark = pytest.mark.xdist_group("up")

SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
# On PostgreSQL the tests run a second time.
ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")
HISTORIES = int(os.environ.get("CHAOS_PROCESS_HISTORIES", "4" if ON_POSTGRESQL else "10"))
PARTITION_ROWS, PEOPLE, LEASE = 1_000, 4_000, 3
# Every fifth history or so loses a worker for longer than its lease.
NAPS = (0.1, 0.5, 1.0, LEASE + 1.5)


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, broker: EmbeddedServer
) -> Iterator[LoadWorker]:
    environment = {"PARTITION_ROWS": str(PARTITION_ROWS), "SYNC_LEASE": str(LEASE)}
    with LoadWorker(tmp_path_factory.mktemp("worker"), environment=environment) as worker:
        yield worker


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True) as server:
        yield OneServer(server)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ValkeyCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield Cluster(cluster)


@dataclass
class History:
    """One source, from an empty destination to the comparison. `log` tells what happened."""

    world: World
    scene: Scene
    worker: LoadWorker
    broker: EmbeddedServer
    identity: TokenIdentity
    dice: random.Random
    log: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    asleep: dict[int, float] = field(default_factory=dict)

    def play(self) -> None:
        """Let things happen, then end well and compare."""
        self.change()
        self.sync(patience=60)
        for _ in range(self.dice.randint(2, 3)):
            self.change()
            self.start()
            self.let_pass(self.dice.random() * 0.8)
            for _ in range(self.dice.randint(1, 2)):
                self.disturb()
                self.let_pass(self.dice.random() * 0.6)
        self.conclude()

    def change(self) -> None:
        """Let people come, go and change."""
        first = self.dice.randrange(2_000)
        score = self.dice.randrange(1_000_000)
        some = {f"person{number}@example.com": number + score for number in range(first, first + PEOPLE, 3)}
        self.rows = {f"person{number}@example.com": number for number in range(first, first + PEOPLE)} | some
        deadline = time.monotonic() + 30
        while True:
            try:
                self.world.put(self.rows.items())
            except duckdb.IOException:  # a snapshot is being taken, which keeps writers out of the file
                assert time.monotonic() < deadline, "nobody lets go of the warehouse's file"
                self.let_pass(0.1)
            else:
                return

    def start(self) -> None:
        """Ask for a sync."""
        with suppress(syncs.AlreadyRunning):
            self.world.start()

    def disturb(self) -> None:
        """Let one thing go wrong."""
        what = self.dice.choice(
            ["kill", "kill", "stop", "stop", "destination", "destination", "destination", "delete", "cancel", "broker"]
        )
        victims = [pid for pid in self.worker.children() if pid not in self.asleep]
        match what:
            case "kill" if victims:
                os.kill(self.dice.choice(victims), signal.SIGKILL)
            case "stop" if victims:
                victim, nap = self.dice.choice(victims), self.dice.choice(NAPS)
                os.kill(victim, signal.SIGSTOP)
                # SQLite has one writer: who sleeps in the middle of a write keeps everybody else from theirs.
                self.asleep[victim] = time.monotonic() + (nap if takes_writes() else 0)
                self.wake()
            case "destination":
                what = self.scene.disturb(self.dice)
            case "broker":
                self.broker.kill()  # and every message with it
                self.let_pass(self.dice.random() * 0.5)
                self.broker.start()
            case "delete":
                self.delete(self.dice.sample(sorted(self.rows), 3))
            case "cancel":
                for run in SyncRun.objects.filter(source=self.world.source, state=RunState.LOADING):
                    syncs.stop(run, by=self.world.by, now=timezone.now())
        self.log.append(what)

    def delete(self, emails: list[str]) -> None:
        """Delete people by API."""
        ids = [ProfileId("email", email) for email in emails]
        destination = self.world.source.destination.public_id
        with suppress(erasures.DeletePending):
            serving.delete(self.identity, destination=destination, entity="user", ids=ids, now=timezone.now())
        self.gone.update(emails)

    def let_pass(self, seconds: float) -> None:
        """Let time pass: ticks come, and who napped goes on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wake()
            tick()
            time.sleep(0.05)

    def wake(self, *, all_of_them: bool = False) -> None:
        """Let processes go on whose nap is over."""
        for pid, over in list(self.asleep.items()):
            if all_of_them or time.monotonic() >= over:
                del self.asleep[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def sync(self, *, patience: float) -> SyncRun:
        """See the active run to its end, or a new one."""
        run = syncs.active_run(self.world.source) or self.world.start()
        return ended(run, within=patience)

    def conclude(self) -> None:
        """End what is active, sync once more, compare; then wake who still sleeps, and compare again."""
        if len(self.asleep) >= self.worker.processes:
            self.wake(all_of_them=True)  # somebody has to do the work
        if syncs.active_run(self.world.source):
            self.log.append(f"then {self.sync(patience=90).state}")
        run = self.sync(patience=60)
        assert run.state == RunState.SUCCEEDED, (run.error_code, run.error)
        suppressions.retry_pending(timezone.now() + 2 * suppressions.RETRY_AFTER)
        self.compare()
        self.wake(all_of_them=True)
        wait_for(lambda: not self.worker.loading(), what="the load processes to let go")
        self.compare()

    def compare(self) -> None:
        """Compare everything in the destination with the view."""
        wanted = expected([row for row in self.rows.items() if row[0] not in self.gone])
        wait_for(lambda: self.bookkeeping() == {"marker"}, what="the worker to tidy up", within=10)
        found = {}
        for client in self.scene.clients():
            with closing(client):
                found.update(profiles(client, self.world.key("")))
        differing = {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)}
        sample = {key: (found.get(key), wanted.get(key)) for key in sorted(differing)[:3]}
        assert not differing, f"{len(differing)} people differ (found, wanted): {sample}"

    def bookkeeping(self) -> set[str]:
        """The kinds of bookkeeping keys that are there."""
        kinds = set()
        for client in self.scene.clients():
            with closing(client):
                names = client.scan_iter("*:_activation:*", count=5_000)
                kinds |= {name.decode().rpartition(":")[2] for name in names}
        return kinds


def takes_writes() -> bool:
    """Tell whether our database can be written to at the moment."""
    if ON_POSTGRESQL:
        return True
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.5, isolation_level=None)) as ours:
        try:
            ours.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        ours.execute("ROLLBACK")
        return True


def profiles(client: redis.Redis, prefix: str) -> dict[str, dict[str, object]]:
    """Read every key of a server but the bookkeeping."""
    names = [name.decode() for name in client.scan_iter(count=5_000)]
    names = [name for name in dict.fromkeys(names) if ":_activation:" not in name]
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hgetall(name)
        answers = pipeline.execute()
    return {
        name.removeprefix(prefix): {view.decode(): json.loads(text) for view, text in fields.items()}
        for name, fields in zip(names, answers, strict=True)
    }


@pytest.mark.parametrize("number", range(HISTORIES))
def test_the_destination_is_the_view_whatever_happened_to_real_processes(
    number: int, request, admin: Member, worker: LoadWorker, broker: EmbeddedServer, settings, transactional_db: None
):
    settings.SYNC_LEASE, settings.PARTITION_ROWS = LEASE, PARTITION_ROWS
    seed = SEED + number
    scene: Scene = request.getfixturevalue("one_server" if seed % 5 < 3 else "cluster")
    world = build(admin.actor, scene.server, destination=scene.connect(admin.actor))
    Activation.objects.update(guard_percent=100)
    identity = tokens.identify(admin.token(), now=timezone.now(), address="192.0.2.1")
    history = History(world, scene, worker, broker, identity, random.Random(seed))
    try:
        history.play()
    except BaseException as error:
        error.add_note(f"CHAOS_SEED={seed} CHAOS_PROCESS_HISTORIES=1 repeats it: {history.log}")
        raise
    finally:
        history.wake(all_of_them=True)
        for run in SyncRun.objects.filter(source=world.source):
            syncs.stop(run, by=world.by, now=timezone.now())
        wait_for(lambda: not worker.loading(), what="the load processes to let go")
        handles.close()
