"""Deletes and syncs at the same time, in the worst order: whoever was deleted is gone once the sync has ended."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from activation import handles, recovery, run_steps, serving, suppressions, syncs
from activation.engine.partition_writer import PartitionWriter
from activation.engine.synchronise import PartitionLoad
from activation.handle import Handle
from activation.models import RunState, Suppression, SyncRun
from activation.serving import ProfileId
from tests.activation.test_sync_runs import PEOPLE, world
from tests.activation.world import World, expected

__all__ = ["world"]
GONE = "person3@example.com"


class Killed(BaseException):
    """The worker is gone, from one instruction to the next."""


@pytest.fixture(autouse=True)
def nothing_remembered():
    handles.close()
    yield
    handles.close()


def delete(world: World, *, asked_at) -> None:
    """Delete a person as the API does, by a call that arrived then."""
    destination = world.source.destination
    handle = handles.get(destination.organisation_id, destination.public_id)
    ids = [ProfileId("email", GONE)]
    serving.delete_through(handle, entity="user", ids=ids, by=world.by, now=asked_at)


def stop(world: World, run: SyncRun) -> None:
    """Stop a run and have its fences closed."""
    assert syncs.stop(world.again(run), by=world.by, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk).update(not_before=timezone.now())
    recovery.close_left_fences(now=timezone.now())
    assert not world.again(run).fences_open


def is_written(world: World) -> bool:
    return bool(world.redis.exists(world.key(GONE)))


def test_a_call_that_waited_while_a_sync_began_takes_back_what_that_wrote(world, monkeypatch):
    asked_at = timezone.now()
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    write = PartitionWriter.write

    def deleted_just_before(self, rows):
        if world.key(GONE) in set(rows.keys()):
            delete(world, asked_at=asked_at)
        return write(self, rows)

    def killed(self, rows, *, refused):
        if world.key(GONE) in set(rows.keys()):
            raise Killed

    monkeypatch.setattr(PartitionWriter, "write", deleted_just_before)
    monkeypatch.setattr(PartitionLoad, "_honour_new_deletes", killed)
    for partition in run.partitions.all():
        with suppress(Killed):
            run_steps.load_partition(partition.pk, now=timezone.now())
    assert is_written(world)

    stop(world, run)
    suppressions.retry_pending(timezone.now() + timedelta(minutes=1))

    assert not is_written(world)
    assert Suppression.objects.get().pending_key == ""


@pytest.mark.parametrize("waited_for_redis", [False, True])
def test_a_sync_that_writes_and_ends_while_the_delete_is_answered_is_taken_back(world, monkeypatch, waited_for_redis):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    if waited_for_redis:
        keys = [world.key(GONE)]
        suppressions.suppress(world.source.destination, keys, by=world.by, now=timezone.now())
    soon = timezone.now() + timedelta(minutes=1)

    with monkeypatch.context() as patched:
        patched.setattr(Handle, "delete", and_then(Handle.delete, lambda: written_and_stopped(world, run)))
        if waited_for_redis:
            suppressions.retry_pending(soon)
        else:
            delete(world, asked_at=timezone.now())
    assert is_written(world)

    suppressions.retry_pending(soon)

    assert not is_written(world)
    assert Suppression.objects.get().pending_key == ""


def and_then(work: Callable[..., object], after: Callable[[], None]) -> Callable[..., object]:
    """Return a function that does the work, then something else before it answers."""

    def done(*arguments: object) -> object:
        answer = work(*arguments)
        after()
        return answer

    return done


def written_and_stopped(world: World, run: SyncRun) -> None:
    """Play a worker that learned of no delete, and its run's end."""
    world.redis.hset(world.key(GONE), "features_by_email", "{}")
    stop(world, run)


def test_a_sync_that_knows_of_a_delete_keeps_nobodys_id(world):
    delete(world, asked_at=timezone.now() + timedelta(hours=1))  # by a host whose clock is wrong
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    keys = [world.key(GONE)]

    again = suppressions.suppress(world.source.destination, keys, by=world.by, now=timezone.now())
    suppressions.settle(again, written=suppressions.in_flight(again), now=timezone.now() + timedelta(hours=1))

    assert Suppression.objects.get().pending_key == ""
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected([person for person in PEOPLE if person[0] != GONE])
