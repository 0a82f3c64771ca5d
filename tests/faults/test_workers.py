"""Full syncs by real load processes that are killed, stopped and cut off; the end is exact all the same."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
import redis
from django.test import Client

from activation import handles
from activation.models import PartitionState, RunState, SyncPartition, SyncRun
from config.embedded import EmbeddedServer
from tests.activation.world import World, build, expected
from tests.cast import Member
from tests.faults.workers import LoadWorker, alive, children_of, ended, loads, tick, wait_for

pytestmark = pytest.mark.xdist_group("up")

# More than the first write's rows (`portions.FIRST_ROWS`), so that who is caught in one has another one to do.
PARTITION_ROWS = 6_000
PEOPLE = [(f"person{n}@example.com", n) for n in range(30_000)]
NEWER = [(f"person{n}@example.com", n + 1) for n in range(500, 30_500)]
LEASE = 3


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, broker: EmbeddedServer
) -> Iterator[LoadWorker]:
    environment = {"PARTITION_ROWS": str(PARTITION_ROWS), "SYNC_LEASE": str(LEASE)}
    with LoadWorker(tmp_path_factory.mktemp("worker"), environment=environment) as worker:
        yield worker


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True) as server:
        yield server


@pytest.fixture
def world(
    admin: Member, server: EmbeddedServer, settings, transactional_db: None, worker: LoadWorker
) -> Iterator[World]:
    settings.SYNC_LEASE = LEASE
    world = build(admin.actor, server)
    world.put(PEOPLE)
    yield world
    wait_for(lambda: not worker.loading(), what="the load processes to let go")
    world.redis.close()
    handles.close()


def test_a_run_without_faults_loads_every_partition_once_on_both_processes(world, worker):
    run = ended(world.start())

    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    partitions = run.partitions.all()
    assert [(p.state, p.attempt, p.retries) for p in partitions] == [(PartitionState.DONE, 1, 0)] * 5
    assert served(world) == expected(PEOPLE)


def test_a_load_process_killed_in_mid_load_costs_only_its_partition_and_leaves_no_orphan(world, worker):
    run = world.start()
    victim = caught_writing(world, worker, run)
    children = children_of(victim)

    os.kill(victim, signal.SIGKILL)
    go_on(world)

    wait_for(lambda: not any(map(alive, children)), what="the killed process's children to end", within=10)
    assert children
    assert ended(run).state == RunState.SUCCEEDED
    assert (run.attempt, sorted({p.attempt for p in run.partitions.all()})) == (1, [1, 2])
    assert served(world) == expected(PEOPLE)


def test_a_load_process_that_sleeps_through_the_next_sync_writes_nothing_when_it_wakes(world, worker):
    run = world.start()
    asleep = caught_writing(world, worker, run)
    os.kill(asleep, signal.SIGSTOP)
    go_on(world)
    assert ended(run).state == RunState.SUCCEEDED
    world.put(NEWER)
    assert ended(world.start()).state == RunState.SUCCEEDED
    assert served(world) == expected(NEWER)

    os.kill(asleep, signal.SIGCONT)

    wait_for(lambda: not loads(asleep), what="the woken process to let go")
    assert served(world) == expected(NEWER)
    assert world.bookkeeping() == {"marker"}


def test_a_destination_that_comes_back_empty_in_mid_load_is_loaded_anew(world, worker, server):
    run = world.start()
    caught_writing(world, worker, run)

    server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    server.start()

    assert ended(run).state == RunState.SUCCEEDED
    assert run.attempt > 1
    assert served(world) == expected(PEOPLE)


def test_a_destination_that_comes_back_with_its_data_goes_on_where_it_was(world, worker, server):
    run = world.start()
    caught_writing(world, worker, run)

    server.kill()
    server.start()

    assert ended(run).state == RunState.SUCCEEDED
    assert run.attempt == 1
    assert served(world) == expected(PEOPLE)


def test_a_broker_that_loses_its_messages_in_mid_load_only_delays_the_run(world, worker, broker):
    run = world.start()
    caught_writing(world, worker, run)

    broker.kill()
    go_on(world)
    wait_for(lambda: not worker.loading(), what="the load processes to end what they had")
    assert SyncRun.objects.get(pk=run.pk).state == RunState.LOADING
    broker.start()

    assert ended(run).state == RunState.SUCCEEDED
    assert served(world) == expected(PEOPLE)


def test_people_deleted_through_the_api_during_the_load_are_gone_at_its_end(world, worker, admin, settings):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = settings.API_URLCONF, settings.API_MIDDLEWARE
    api = Client(headers={"authorization": f"Bearer {admin.token()}"})
    run = world.start()
    caught_writing(world, worker, run)
    go_on(world)
    gone = [email for email, _ in PEOPLE[::1_000]]

    for email in gone:
        person = {"type": "email", "value": email}
        body = {"entity": "user", "destinationId": world.source.destination.public_id, "id": person}
        answer = api.delete("/v2/activation", body, content_type="application/json")
        assert (answer.status_code, answer.json()["actualKeys"]) == (200, 1)
        tick()

    assert ended(run).state == RunState.SUCCEEDED
    assert served(world) == expected([row for row in PEOPLE if row[0] not in gone])


def caught_writing(world: World, worker: LoadWorker, run: SyncRun) -> int:
    """Bring a run so far that a load process waits for the destination, which holds writes back; its process id.

    The destination goes on by `go_on`, or by itself after a while.
    """

    def holds_back(state: Callable[[], bool]) -> Callable[[], bool]:
        def looked() -> bool:
            tick()
            return state()

        return looked

    wait_for(holds_back(lambda: done(run) >= 1), what="the first partition", every=0.05)
    world.redis.execute_command("CLIENT", "PAUSE", "8000", "WRITE")
    wait_for(holds_back(lambda: writing(world.redis) and bool(worker.loading())), what="a write", every=0.05)
    assert SyncPartition.objects.filter(run=run, state=PartitionState.LOADING).exists()
    return worker.loading()[0]


def go_on(world: World) -> None:
    world.redis.execute_command("CLIENT", "UNPAUSE")


def done(run: SyncRun) -> int:
    return SyncPartition.objects.filter(run=run, state=PartitionState.DONE).count()


def writing(client: redis.Redis) -> bool:
    """Whether chunks were sent that the server has not answered."""
    written = {"evalsha", "hset", "exec"}
    return any(entry["cmd"] in written and "b" in entry["flags"] for entry in client.client_list())


def served(world: World) -> dict[str, dict[str, object]]:
    """Read everything of ours but the bookkeeping from Redis, as `World.served`, in few round trips."""
    destination = world.source.destination
    start = f"{destination.workspace_id}:{destination.public_id}:"
    names = [name.decode() for name in world.redis.scan_iter(f"{start}*", count=5_000)]
    names = [name for name in dict.fromkeys(names) if not name.startswith(f"{start}_activation:")]
    with world.redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hgetall(name)
        answers = pipeline.execute()
    return {
        name.removeprefix(f"{start}user:email:"): {field.decode(): json.loads(text) for field, text in fields.items()}
        for name, fields in zip(names, answers, strict=True)
    }
