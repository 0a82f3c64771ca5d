"""A broker that goes away again and again while load processes are at work: the worker stays, and goes on with the rest."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.utils import timezone

from activation import handles, run_steps, tasks
from activation.models import RunState, SyncRun
from config.celery import app
from config.embedded import EmbeddedServer
from tests.activation.world import World, build
from tests.cast import Member
from tests.faults.workers import LoadWorker, ended, tick, wait_for

pytestmark = pytest.mark.xdist_group("up")

PEOPLE = [(f"person{n}@example.com", n) for n in range(30_000)]


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, broker: EmbeddedServer
) -> Iterator[LoadWorker]:
    with LoadWorker(tmp_path_factory.mktemp("worker"), environment={"PARTITION_ROWS": "1000"}) as worker:
        yield worker


@pytest.fixture
def world(admin: Member, redis_server: EmbeddedServer, transactional_db: None, worker: LoadWorker) -> Iterator[World]:
    world = build(admin.actor, redis_server)
    world.put(PEOPLE)
    yield world
    wait_for(lambda: not worker.loading(), what="the load processes to let go")
    world.redis.flushall()
    world.redis.close()
    handles.close()


def test_a_worker_outlives_a_broker_that_is_gone_again_and_again(world, worker, broker):
    run = world.start()
    for seconds in (0.0, 0.1, 0.3, 0.5, 1.0, 0.2, 0.0, 0.4):
        wait_for(partial(at_work, world, worker, run), what="a load process to load", within=30)
        broker.kill()
        time.sleep(seconds)
        broker.start()
        if world.again(run).state == RunState.SUCCEEDED:
            run = world.start()

    assert ended(run).state == RunState.SUCCEEDED
    assert worker.is_alive()


def test_a_load_process_that_sleeps_holds_up_nobody_after_its_broker_was_lost(world, worker, broker):
    world.put(PEOPLE[:500])  # one partition
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    first, second = worker.children()
    with asleep(second):
        with asleep(first):
            wake_all(worker)
            broker.kill()
            broker.start()
            world.redis.client_pause(20_000, all=False)  # in milliseconds; what writes waits
            wake_all(worker, partition_id=run.partitions.get().pk)
        wait_for(worker.loading, what="the first to load")
    with asleep(first):
        for _ in range(3):
            wake_all(worker)
    world.redis.client_unpause()

    assert ended(run).state == RunState.SUCCEEDED


def test_a_channel_that_is_closed_is_told_nothing_more(broker):
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel.qos._delivered["tag"] = message = object()
    assert channel.closed

    channel.qos.ack("tag")
    channel.qos.reject("tag", requeue=True)

    assert channel.qos._delivered == {"tag": message}


def wake_all(worker: LoadWorker, *, partition_id: int = 0) -> None:
    """Send a message for each load process, and see that the worker takes them; there is no partition 0."""
    for _ in range(worker.processes):
        tasks.load.apply_async(kwargs={"partition_id": partition_id})
    with app.connection_for_write() as connection:
        wait_for(lambda: not connection.default_channel.client.llen("load"), what="the worker to take its messages")


@contextmanager
def asleep(*pids: int) -> Iterator[None]:
    """Have processes sleep meanwhile."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def at_work(world: World, worker: LoadWorker, run: SyncRun) -> bool:
    """Wake the worker; tell whether there is something to disturb, or nothing left."""
    tick()
    return bool(worker.loading()) or world.again(run).state == RunState.SUCCEEDED
