"""A full sync, end to end in process, on a real DuckDB file and a real Valkey."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from activation import partitions, recovery, run_progress, run_states, run_steps, standings, suppressions, syncs
from activation.claims import Heartbeat
from activation.engine.bookkeeping import FenceMoved
from activation.engine.errors import DestinationError
from activation.engine.loader import Loader, PartitionWriter
from activation.models import PartitionState, RunState, Source, Suppression, SyncPartition, SyncRun
from activation.run_resources import claim_of, loader_of
from projects import projects
from projects.projects import ProjectInUse
from tests.activation.world import VIEW, World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=10)


def test_a_full_sync_brings_every_row_and_moves_the_base(world):
    run = world.sync()

    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert world.served() == expected(PEOPLE)
    assert (run.written, run.deleted, run.failed, run.rows_planned) == (25, 0, 0, 25)
    assert run.partitions.count() == 3
    source = Source.objects.get()
    assert (source.base_run_id, source.base_snapshot, source.base_rows) == (run.pk, run.snapshot, 25)


def test_a_finished_run_leaves_only_its_marker_and_its_snapshot(world, settings):
    world.sync()
    run = world.sync()

    assert world.bookkeeping() == {"marker"}
    assert [file.stem for file in settings.SNAPSHOT_DIR.rglob("*.duckdb")] == [run.snapshot]


def test_rows_that_left_the_view_leave_redis(world):
    world.sync()
    world.put(PEOPLE[:20])

    run = world.sync()

    assert (run.written, run.deleted, run.unchanged) == (0, 5, 20)
    assert world.served() == expected(PEOPLE[:20])


def test_other_fields_of_a_person_are_left_alone(world):
    world.redis.hset(world.key("person1@example.com"), "another_view", '{"A":1}')
    world.sync()
    world.put(PEOPLE[2:])

    world.sync()

    served = world.served()
    assert {email: served[email] for email in served.keys() - expected(PEOPLE[2:]).keys()} == {
        "person1@example.com": {"another_view": {"A": 1}}
    }


def test_null_blank_and_duplicate_ids_are_counted_and_an_ambiguous_id_keeps_its_row(world):
    world.sync()
    world.put([*PEOPLE, (None, 1), ("", 2), ("person0@example.com", 0), ("person1@example.com", 99)])

    run = world.sync()

    assert (run.null_ids, run.duplicate_ids, run.invalid_ids) == (2, 1, 1)
    assert world.served() == expected(PEOPLE)


def test_a_second_run_of_a_source_is_refused_while_one_is_active(world):
    world.start()

    with pytest.raises(syncs.AlreadyRunning):
        world.start()


def test_a_doubled_wake_up_finds_nothing_to_claim(world):
    run = world.start()
    assert run_steps.take_snapshot(run.pk, now=timezone.now())

    assert not run_steps.take_snapshot(run.pk, now=timezone.now())
    first = SyncPartition.objects.filter(run=run).order_by("number")[0]
    assert run_steps.load_partition(first.pk, now=timezone.now())
    assert not run_steps.load_partition(first.pk, now=timezone.now())
    assert world.work(run).state == RunState.SUCCEEDED


def test_the_run_works_on_its_own_snapshot_whatever_happens_to_the_view(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    world.put([("somebody@else.example", 1)])

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_a_person_deleted_before_the_sync_is_not_written(world):
    suppress(world, "person3@example.com")

    run = world.sync()

    assert (run.written, run.suppressed) == (24, 1)
    assert world.served() == expected(PEOPLE[:3] + PEOPLE[4:])


def test_a_person_deleted_while_the_chunk_was_on_its_way_is_taken_back(world, monkeypatch):
    write = PartitionWriter.write

    def write_then_delete(self, rows):
        report = write(self, rows)
        if world.key("person3@example.com") in set(rows.keys()) and rows.packed[0].is_valid:
            suppress(world, "person3@example.com")
        return report

    monkeypatch.setattr(PartitionWriter, "write", write_then_delete)

    run = world.sync()

    assert "person3@example.com" not in world.served()
    assert (run.written, run.suppressed) == (24, 1)


def test_a_worker_that_was_given_up_and_wakes_writes_nothing(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    asleep = claimed_and_given_up(run)

    with loader_of(world.source) as loader, pytest.raises(FenceMoved):
        loader.write(claim_of(asleep), [world.key("person1@example.com")], ['{"old":1}'])

    assert world.served() == {}
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)
    assert world.again(run).partitions.get(number=asleep.number).attempt == 2


def test_a_given_up_worker_cannot_mark_its_partition_done(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    asleep = claimed_and_given_up(run)

    assert not partitions.complete(asleep, {"written": 10}, {}, now=timezone.now())
    assert SyncPartition.objects.get(pk=asleep.pk).state == PartitionState.WAITING


def test_a_run_whose_destination_lost_its_data_starts_over(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    first = SyncPartition.objects.filter(run=run)[0]
    run_steps.load_partition(first.pk, now=timezone.now())
    world.redis.flushall()

    run = world.work(run)

    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert world.served() == expected(PEOPLE)


def test_data_lost_between_the_last_chunk_and_the_finish_is_noticed(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    world.redis.flushall()

    run = world.work(run)

    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert world.served() == expected(PEOPLE)


def test_a_destination_that_goes_away_and_comes_back_is_waited_for(world, server):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    server.kill()
    run = world.work(run, rounds=2)
    assert run.state == RunState.LOADING

    server.start()
    run = world.work(run)

    assert run.state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_a_destination_that_stays_away_fails_the_run_with_its_reason(world, server, monkeypatch):
    monkeypatch.setattr(run_states, "MOST_RETRIES", 3)
    run = world.start()
    server.kill()

    run = world.work(run)

    assert run.state == RunState.FAILED
    assert (run.error_code, run.retries, run.snapshot) == ("unreachable", 3, "")
    assert server.address in run.error


def test_a_wrong_password_fails_the_run_at_once(world, server):
    world.redis.config_set("requirepass", "another")

    run = world.sync()

    assert (run.state, run.retries) == (RunState.FAILED, 0)
    assert "password" in run.error
    assert server.password not in run.error


def test_a_dropped_id_column_fails_the_run_and_keeps_the_base(world):
    world.sync()
    base = Source.objects.get().base_snapshot
    Source.objects.update(id_column="gone")

    run = world.sync()

    assert run.state == RunState.FAILED
    assert "'gone'" in run.error
    assert Source.objects.get().base_snapshot == base
    assert world.served() == expected(PEOPLE)


def test_a_key_of_another_type_is_a_row_fault_that_is_counted_with_its_reason(world):
    world.put([(f"person{n}@example.com", n) for n in range(200)])
    world.redis.set(world.key("person7@example.com"), "a string")

    run = world.sync()

    assert (run.state, run.written, run.failed) == (RunState.SUCCEEDED, 199, 1)
    assert [p.failures for p in run.partitions.all() if p.failures] == [{"wrong_type": 1}]


def test_a_stalled_snapshot_goes_back_to_the_queue_and_is_taken_again(world, settings):
    run = world.start()
    syncs.claim(run.pk, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 5))

    run = world.work(run)

    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)


def test_a_worker_that_sleeps_over_its_snapshot_takes_nothing_away_when_it_wakes(world, settings, monkeypatch):
    world.sync()
    run = world.start()
    asleep = iter((True,))
    look = Loader.evictions

    def slept(loader: Loader) -> dict[str, int] | None:
        if next(asleep, False):
            done_by_others(world, run)
        return look(loader)

    monkeypatch.setattr(Loader, "evictions", slept)
    run_steps.take_snapshot(run.pk, now=timezone.now())

    assert world.bookkeeping() == {"marker"}
    assert [file.stem for file in settings.SNAPSHOT_DIR.rglob("*.duckdb")] == [world.again(run).snapshot]


def test_a_worker_that_sleeps_when_it_begins_leaves_nothing_behind(world, settings, monkeypatch):
    world.sync()
    run = world.start()
    asleep = iter((True,))
    confirm = Heartbeat.confirm

    def confirmed(heartbeat: Heartbeat) -> bool:
        ours = confirm(heartbeat)
        if next(asleep, False):
            done_by_others(world, run)
        return ours

    monkeypatch.setattr(Heartbeat, "confirm", confirmed)
    run_steps.take_snapshot(run.pk, now=timezone.now())

    assert world.bookkeeping() == {"marker"}
    assert [file.stem for file in settings.SNAPSHOT_DIR.rglob("*.duckdb")] == [world.again(run).snapshot]


def test_a_run_looks_again_when_the_one_before_tidies_up_between_two_looks(world, monkeypatch):
    run, begin, refusals = world.start(), Loader.begin, iter([FenceMoved()])

    def refused_once(*arguments: Any, **named: Any) -> None:
        for refusal in refusals:
            raise refusal
        begin(*arguments, **named)

    monkeypatch.setattr(Loader, "begin", refused_once)
    assert run_steps.take_snapshot(run.pk, now=timezone.now())


def test_a_run_is_not_finished_when_a_partition_of_it_was_opened_again_meanwhile(world, monkeypatch):
    run, move = world.start(), run_states.move
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())

    def slept(*arguments: Any, **named: Any) -> bool:
        run.partitions.filter(number=0).update(state=PartitionState.WAITING)
        return move(*arguments, **named)

    monkeypatch.setattr(run_states, "move", slept)

    assert not run_steps.finish(run.pk, now=timezone.now())
    assert world.again(run).state == RunState.LOADING


def test_a_stalled_finish_is_taken_over(world, settings):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    run_states.move(world.again(run), RunState.FINISHING, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 5))

    assert world.work(run).state == RunState.SUCCEEDED


def test_a_move_that_the_table_does_not_have_is_a_bug(world):
    run = world.sync()

    with pytest.raises(run_states.ImpossibleMove):
        run_states.move(run, RunState.QUEUED, now=timezone.now())


def test_progress_tells_rows_rate_and_the_whole(world):
    run = world.start()
    assert run_progress.of(run, now=timezone.now()).percent is None
    run_steps.take_snapshot(run.pk, now=timezone.now())
    first = SyncPartition.objects.filter(run=run).order_by("number")[0]
    run_steps.load_partition(first.pk, now=timezone.now())

    progress = run_progress.of(world.again(run), now=timezone.now())

    assert progress.total == 25
    assert progress.done == SyncPartition.objects.get(pk=first.pk).written > 0
    assert progress.rows_per_second
    assert progress.seconds_left


def test_a_run_that_is_held_up_tells_why_and_promises_no_end(world, server):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    first, second, *_ = SyncPartition.objects.filter(run=run).order_by("number")
    run_steps.load_partition(first.pk, now=timezone.now())
    server.kill()
    run_steps.load_partition(second.pk, now=timezone.now())
    recovery.put_back_stalled(now=timezone.now())

    progress = run_progress.of(world.again(run), now=timezone.now())

    assert progress.held_up == "unreachable"
    assert progress.done
    assert progress.seconds_left is None
    assert standings.pace_words(progress) == "Trying again"
    server.start()
    assert partitions.claim(second.pk, now=timezone.now()) is None  # it is put back later
    SyncPartition.objects.filter(run=run).update(state="waiting", not_before=timezone.now())
    assert partitions.claim(second.pk, now=timezone.now())
    assert run_progress.of(world.again(run), now=timezone.now()).held_up == ""


def done_by_others(world: World, run: SyncRun) -> None:
    long_ago = timezone.now() - timedelta(minutes=10)
    SyncRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)
    assert world.work(run).state == RunState.SUCCEEDED


def claimed_and_given_up(run: SyncRun) -> SyncPartition:
    """Claim the first partition as a worker that is then given up; the worker's view of it."""
    asleep = partitions.claim(SyncPartition.objects.filter(run=run)[0].pk, now=timezone.now())
    assert asleep is not None
    partitions.give_up(asleep, code="asleep")
    recovery.put_back_stalled(now=timezone.now())
    return asleep


def suppress(world: World, email: str) -> None:
    """Delete a person as the API does: the suppression first, then the key."""
    suppressions.suppress(world.source.destination, [world.key(email)], by=world.by, now=timezone.now())
    world.redis.delete(world.key(email))


def test_the_view_name_is_the_field(world):
    world.sync()

    assert world.redis.hkeys(world.key("person1@example.com")) == [VIEW.encode()]


def test_a_project_whose_profiles_are_in_redis_cannot_be_deleted(world):
    world.sync()
    project = world.source.activation.project

    with pytest.raises(ProjectInUse, match="still there"):
        projects.delete(project, by=world.by, now=timezone.now())

    assert world.served() == expected(PEOPLE)


class WriteBroke(DestinationError):
    """The connection broke while a write was on its way, for good."""


def test_a_person_deleted_while_a_write_was_under_way_stays_deleted_though_the_run_fails(world, monkeypatch):
    write = PartitionWriter.write
    key = world.key("person3@example.com")

    def deleted_before_it_arrives(self, rows):
        deleted = suppressions.suppress(world.source.destination, [key], by=world.by, now=timezone.now())
        world.redis.delete(key)
        suppressions.settle(deleted, written=suppressions.in_flight(deleted), now=timezone.now())
        write(self, rows)
        raise WriteBroke("gone")

    monkeypatch.setattr(PartitionWriter, "write", deleted_before_it_arrives)
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    assert world.again(run).state == RunState.FAILED

    suppressions.retry_pending(now=timezone.now() + timedelta(minutes=1))

    assert "person3@example.com" not in world.served()
    assert set(Suppression.objects.values_list("pending_key", flat=True)) == {""}


def test_the_key_of_a_deleted_person_is_kept_only_while_a_sync_loads(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    deleted = suppressions.suppress(
        world.source.destination, [world.key("a@b.example")], by=world.by, now=timezone.now()
    )
    suppressions.settle(deleted, written=suppressions.in_flight(deleted), now=timezone.now())
    soon = timezone.now() + timedelta(minutes=1)
    suppressions.retry_pending(now=soon)
    assert Suppression.objects.get().pending_key

    world.work(run)
    suppressions.retry_pending(now=soon)

    assert Suppression.objects.get().pending_key == ""


def test_a_worker_that_sleeps_through_the_failure_of_its_run_writes_nothing_when_it_wakes(world, monkeypatch):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    asleep, victim = SyncPartition.objects.filter(run=run).order_by("number")[:2]
    asleep_claim = partitions.claim(asleep.pk, now=timezone.now())
    assert asleep_claim is not None
    with monkeypatch.context() as broken:
        broken.setattr(PartitionWriter, "write", lambda *_: (_ for _ in ()).throw(WriteBroke("gone")))
        run_steps.load_partition(victim.pk, now=timezone.now())
    assert world.again(run).state == RunState.FAILED

    with loader_of(world.source) as loader, pytest.raises(FenceMoved):
        loader.write(claim_of(asleep_claim), [world.key("person1@example.com")], ['{"old":1}'])
