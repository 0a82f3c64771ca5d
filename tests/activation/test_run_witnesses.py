"""A run whose destination lost acknowledged writes: it notices before it says that it succeeded, and makes them good."""

import pytest
from django.utils import timezone

from activation import partitions, run_steps
from activation.models import RunState, SyncRun
from tests.activation.test_sync_runs import PEOPLE, world
from tests.activation.world import World, expected

__all__ = ["world"]


def load_all(world: World, *, but_last: int = 0) -> SyncRun:
    """Take a run so far that all its partitions, but for the last ones, are loaded."""
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    waiting = list(partitions.waiting(now=timezone.now()).values_list("pk", flat=True))
    for partition_id in waiting[: len(waiting) - but_last]:
        run_steps.load_partition(partition_id, now=timezone.now())
    return run


@pytest.mark.parametrize("but_last", [0, 1, 3])
def test_writes_that_a_restarted_server_lost_are_made_again(world, server, but_last):
    run = load_all(world, but_last=but_last)
    names = set(world.served())
    world.redis.save()
    again = load_all_left(run)
    server.kill()
    server.start()
    assert set(world.served()) == names
    assert again == but_last

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)
    assert world.bookkeeping() == {"marker"}


def test_a_server_that_lost_everything_before_the_end_is_filled_again(world, server):
    run = load_all(world)
    server.kill()
    server.start()
    assert world.served() == {}

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def load_all_left(run: SyncRun) -> int:
    """Load the partitions that still wait and return how many they were."""
    waiting = list(partitions.waiting(now=timezone.now()).filter(run=run).values_list("pk", flat=True))
    for partition_id in waiting:
        run_steps.load_partition(partition_id, now=timezone.now())
    return len(waiting)
