"""What nobody foresaw, and races: a run never hangs, says why it failed without quoting data, and spoils no other."""

import threading
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from activation import claims, enabling, partitions, recovery, run_outcomes, run_states, run_steps, tasks
from activation.claims import Heartbeat
from activation.engine import snapshots
from activation.engine.encoding import Packed
from activation.engine.loader import Loader
from activation.models import PartitionState, RedisDestination, RunState, SyncPartition, SyncRun
from activation.run_resources import claim_of, loader_of
from tests.activation.test_sync_runs import PEOPLE, world
from tests.activation.world import expected

__all__ = ["world"]
SECRET = "person1@example.com has a secret"


def breaks(error):
    """Return a function that raises."""

    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


@pytest.mark.parametrize(
    ("place", "name"),
    [(snapshots, "take"), (Packed, "pack"), (Loader, "set_marker")],
    ids=["snapshot", "load", "end"],
)
def test_an_error_nobody_foresaw_fails_the_run_at_once_and_quotes_no_data(world, monkeypatch, capsys, place, name):
    monkeypatch.setattr(place, name, breaks(KeyError(SECRET)))

    run = world.work(world.start(), rounds=3)

    assert (run.state, run.error_code, run.retries) == (RunState.FAILED, "internal", 0)
    assert "KeyError" in run.error
    assert SECRET not in run.error + capsys.readouterr().out


@pytest.mark.parametrize("error", [OperationalError("locked"), InterfaceError("closed")])
@pytest.mark.parametrize(("place", "name"), [(snapshots, "take"), (Packed, "pack"), (Loader, "set_marker")])
def test_our_database_being_away_for_a_moment_only_delays_the_run(world, monkeypatch, place, name, error):
    with monkeypatch.context() as patched:
        patched.setattr(place, name, breaks(error))
        run = world.work(world.start(), rounds=2)
        assert run.state in {RunState.QUEUED, RunState.LOADING, RunState.FINISHING}

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_a_password_that_cannot_be_decrypted_fails_the_run_and_says_so(world):
    RedisDestination.objects.update(credentials="encrypted with a key that is gone")

    run = world.work(world.start(), rounds=2)

    assert (run.state, run.error_code) == (RunState.FAILED, "secret_unreadable")
    assert "ENCRYPTION_KEYS" in run.error


def test_a_requeue_that_cannot_work_fails_its_run_and_leaves_the_others_to_the_tick(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    abandon(run)
    RedisDestination.objects.update(credentials="encrypted with a key that is gone")

    recovery.put_back_stalled(now=timezone.now())

    run.refresh_from_db()
    assert (run.state, run.error_code) == (RunState.FAILED, "secret_unreadable")


def test_one_kind_of_work_that_breaks_does_not_stop_the_tick(world, monkeypatch, capsys):
    woken: list[bool] = []
    monkeypatch.setattr(enabling, "follow_specifications", breaks(KeyError(SECRET)))
    monkeypatch.setattr(tasks, "wake", lambda: woken.append(True))

    tasks.tick()

    assert woken
    assert SECRET not in capsys.readouterr().out


def test_a_finish_whose_workers_keep_dying_fails_in_the_end(world, monkeypatch, settings):
    monkeypatch.setattr(run_states, "MOST_RETRIES", 2)
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    run_states.move(world.again(run), RunState.FINISHING, now=timezone.now())

    for _ in range(3):
        long_ago = timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 5)
        SyncRun.objects.filter(pk=run.pk, state=RunState.FINISHING).update(heartbeat_at=long_ago)
        recovery.put_back_stalled(now=timezone.now())

    run.refresh_from_db()
    assert (run.state, run.error_code) == (RunState.FAILED, "worker_stalled")


def test_tidying_up_leaves_alone_what_the_next_run_has_made(world, monkeypatch):
    finish, later = Loader.finish, []

    def next_run_starts(loader: Loader, run: str) -> None:
        finish(loader, run)
        monkeypatch.setattr(Loader, "finish", finish)
        later.append(world.start())
        assert run_steps.take_snapshot(later[0].pk, now=timezone.now())

    monkeypatch.setattr(Loader, "finish", next_run_starts)

    assert world.sync().state == RunState.SUCCEEDED

    assert world.work(later[0]).state == RunState.SUCCEEDED
    assert world.again(later[0]).attempt == 1


def test_a_snapshot_that_was_taken_over_leaves_the_fences_of_the_next_attempt_alone(world, monkeypatch):
    sizes, run = snapshots.partition_sizes, world.start()

    def taken_over(*arguments, **named):
        monkeypatch.setattr(snapshots, "partition_sizes", sizes)
        found = sizes(*arguments, **named)
        SyncRun.objects.filter(pk=run.pk).update(state=RunState.QUEUED)
        assert world.work(run).state == RunState.SUCCEEDED
        return found

    monkeypatch.setattr(snapshots, "partition_sizes", taken_over)

    assert not run_steps.take_snapshot(run.pk, now=timezone.now())

    assert world.bookkeeping() == {"marker"}
    assert world.again(run).state == RunState.SUCCEEDED


def test_a_second_tick_that_comes_late_does_not_restart_the_run(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    late = abandon(run)
    recovery.put_back_stalled(now=timezone.now())
    with loader_of(world.source) as loader:
        assert loader.move_fence(claim_of(late, attempt=3))
    SyncPartition.objects.filter(pk=late.pk).update(attempt=3)

    recovery._requeue(late, now=timezone.now())

    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.LOADING, 1)


def test_a_heartbeat_goes_on_after_our_database_was_away(monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_EVERY", 0.01)
    answers = iter([InterfaceError("closed"), OperationalError("locked")])
    lost = threading.Event()

    def beat() -> bool:
        error = next(answers, None)
        if error:
            raise error
        return False

    with Heartbeat(beat, on_lost=lost.set) as heartbeat:
        assert lost.wait(5)
        assert not heartbeat.ours


def test_a_message_that_is_too_long_for_its_column_is_cut(world):
    run = world.start()
    run_states.move(run, RunState.SNAPSHOT, now=timezone.now())

    run_outcomes.put_back(run, code="warehouse_busy", message="x" * 1_001)

    assert world.again(run).error == "x" * 1_000


def abandon(run: SyncRun) -> SyncPartition:
    """Claim the first partition and let go of it; the worker's view of it."""
    partition = partitions.claim(SyncPartition.objects.filter(run=run)[0].pk, now=timezone.now())
    assert partition is not None
    assert partition.state == PartitionState.WAITING  # as it was read
    partitions.give_up(partition, code="asleep")
    return partition
