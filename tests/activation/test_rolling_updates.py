"""Workers of two versions that encode rows differently: none loads what the other began, and nothing is left lying."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from activation import cures, enabling, recovery, run_states, run_steps
from activation.engine import snapshots
from activation.models import PartitionState, RunState, SyncPartition, SyncRun
from tests.activation.world import World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]
OURS = snapshots.ROW_FORMAT
OLDER, NEWER = OURS - 1, OURS + 1


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=10)


@pytest.fixture
def become(monkeypatch) -> Callable[[int], None]:
    """Have this process be of the version with a format."""
    return lambda row_format: monkeypatch.setattr(snapshots, "ROW_FORMAT", row_format)


def begun(world: World, *, loaded: int = 0) -> SyncRun:
    """Start a run, take its snapshot, and load some of its three partitions."""
    run = world.start()
    assert run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in run.partitions.order_by("number")[:loaded]:
        assert run_steps.load_partition(partition.pk, now=timezone.now()) == run.pk
    return run


def states(run: SyncRun) -> list[tuple[str, int, int]]:
    return list(run.partitions.order_by("number").values_list("state", "attempt", "retries"))


def tick(*, after: timedelta = timedelta()) -> None:
    recovery.put_back_stalled(now=timezone.now() + after)


@pytest.mark.parametrize("other", [OLDER, NEWER])
def test_a_worker_leaves_what_another_version_began_to_a_worker_of_that_version(world, become, other):
    become(other)
    run = begun(world, loaded=1)

    become(OURS)
    world.work(run, rounds=3)
    assert world.again(run).state == RunState.LOADING
    assert states(run) == [("done", 1, 0), ("waiting", 1, 0), ("waiting", 1, 0)]
    assert len(world.served()) == run.partitions.get(number=0).written

    become(other)
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


@pytest.mark.parametrize("other", [OLDER, NEWER])
def test_what_the_last_worker_of_another_version_left_starts_over(world, become, other):
    become(other)
    run = begun(world, loaded=1)

    become(OURS)
    tick(after=timedelta(minutes=3))
    assert (world.again(run).state, world.again(run).error_code) == (RunState.QUEUED, "other_version")

    assert world.work(run).state == RunState.SUCCEEDED
    assert (world.again(run).attempt, world.again(run).row_format, world.again(run).error) == (2, OURS, "")
    assert world.served() == expected(PEOPLE)
    assert world.sync().kind == "incremental"


def test_the_next_sync_of_a_newer_version_writes_all_rows_anew(world, become):
    world.sync()

    become(NEWER)
    run = world.sync()

    assert (run.state, run.kind, run.written) == (RunState.SUCCEEDED, "full", 25)


def goes_on_loading(run: SyncRun) -> None:
    SyncPartition.objects.filter(run=run, number=1).update(state=PartitionState.LOADING, heartbeat_at=timezone.now())


def ended_a_minute_before_the_tick(run: SyncRun) -> None:
    SyncPartition.objects.filter(run=run, number=0).update(finished_at=timezone.now() + timedelta(minutes=2))


def was_requeued_a_minute_before_the_tick(run: SyncRun) -> None:
    SyncPartition.objects.filter(run=run, number=1).update(not_before=timezone.now() + timedelta(minutes=2))


def has_loaded_all(run: SyncRun) -> None:
    run.partitions.update(state=PartitionState.DONE)


@pytest.mark.parametrize(
    "it",
    [goes_on_loading, ended_a_minute_before_the_tick, was_requeued_a_minute_before_the_tick, has_loaded_all],
)
def test_what_a_worker_of_another_version_goes_on_with_is_left_to_it(world, become, it):
    become(NEWER)
    run = begun(world, loaded=1)
    become(OURS)
    it(run)

    tick(after=timedelta(minutes=3))

    assert (world.again(run).state, world.again(run).attempt) == (RunState.LOADING, 1)


def test_what_is_in_our_own_format_waits_for_a_worker_however_long(world):
    run = begun(world)

    tick(after=timedelta(hours=3))

    assert world.again(run).state == RunState.LOADING
    assert world.work(run).state == RunState.SUCCEEDED


def test_any_version_finishes_what_is_loaded(world, become):
    become(NEWER)
    run = begun(world, loaded=3)

    become(OURS)

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.sync().full_reason == "settings_changed"


def test_a_removal_that_another_version_began_starts_over_as_well(world, become):
    world.sync()
    become(NEWER)
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    run = SyncRun.objects.get(kind="removal")
    assert run_steps.take_snapshot(run.pk, now=timezone.now())

    become(OURS)
    tick(after=timedelta(minutes=3))

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == {}


def test_a_sync_that_versions_take_from_each_other_again_and_again_fails_and_says_why(world, become, monkeypatch):
    monkeypatch.setattr(run_states, "MOST_RETRIES", 1)
    run = world.start()
    for _ in range(2):
        become(NEWER)
        SyncRun.objects.update(not_before=timezone.now())
        assert run_steps.take_snapshot(run.pk, now=timezone.now())
        become(OURS)
        tick(after=timedelta(minutes=3))

    run = SyncRun.objects.select_related("source__destination").get()
    assert (run.state, run.error_code) == (RunState.FAILED, "other_version")
    assert "to the same version" in cures.of_run(run)
