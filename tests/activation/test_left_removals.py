"""What is left in a Redis that is gone for good: what may be deleted then, and what holds should it come back."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import (
    destinations,
    dirty_ids,
    enabling,
    partitions,
    removals,
    run_finishes,
    run_snapshots,
    run_steps,
    syncs,
)
from activation.models import Activation, DirtyId, RedisDestination, RunState, Source, SyncPartition, SyncRun
from config.embedded import EmbeddedServer
from projects import projects
from projects.models import Project
from tests.activation.world import World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]
FEWER = [*PEOPLE[5:], ("new@example.com", 100)]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True) as server:
        yield server


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    world = filled(PEOPLE, partition_rows=10)
    world.sync()
    return world


def turn_off(world: World) -> SyncRun:
    """Turn the sync off and have the profiles removed."""
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    return SyncRun.objects.filter(kind="removal").latest("pk")


def turn_on(world: World) -> None:
    """Have the source back, as when its project is synced again."""
    Activation.objects.update(enabled=True)
    Source.objects.update(status=Source.Status.ACTIVE, full_next="view_moved")


def leave(world: World) -> None:
    removals.leave_behind(world.source, by=world.by, now=timezone.now())


def in_vain(world: World, server: EmbeddedServer) -> SyncRun:
    """Begin a removal, with the server gone before it does anything."""
    removal = turn_off(world)
    server.stop()
    return world.work(removal, rounds=1)


def half_done(world: World, server: EmbeddedServer) -> SyncRun:
    """Begin a removal; the server goes while it deletes."""
    removal = turn_off(world)
    run_steps.take_snapshot(removal.pk, now=timezone.now())
    first, second, *_ = SyncPartition.objects.filter(run=removal).order_by("number")
    run_steps.load_partition(first.pk, now=timezone.now())
    server.stop()
    run_steps.load_partition(second.pk, now=timezone.now())
    return world.again(removal)


def given_up(world: World, server: EmbeddedServer) -> SyncRun:
    """Have a removal tried until it fails."""
    SyncRun.objects.filter(pk=in_vain(world, server).pk).update(retries=29)
    removal = world.work(turn_off(world))
    assert removal.state == RunState.FAILED
    return removal


GONE = pytest.mark.parametrize("goes", [in_vain, half_done, given_up])
Goes = Callable[[World, EmbeddedServer], SyncRun]


def tables(settings) -> set[str]:
    return {file.stem for file in settings.SNAPSHOT_DIR.rglob("*_s*_r*_a*.duckdb")}


@GONE
def test_project_and_destination_can_be_deleted_once_what_is_there_is_left(world, server, goes: Goes):
    project, destination = world.source.activation.project, world.source.destination
    removal = goes(world, server)
    with pytest.raises(projects.ProjectInUse):
        projects.delete(project, by=world.by, now=timezone.now())
    with pytest.raises(destinations.DestinationInUse):
        destinations.delete(destination, by=world.by, now=timezone.now())

    leave(world)

    assert world.again(removal).state in {RunState.CANCELLED, RunState.FAILED}
    source = Source.objects.get()
    assert (source.status, source.base_snapshot, source.base_run, source.base_rows) == ("removed", "", None, 0)
    event = AuditEvent.objects.get(action="source_left_behind")
    assert (event.actor, event.target_id) == (world.by.name, source.public_id)
    assert event.details == {"profiles": 25, "destination": destination.public_id}
    projects.delete(project, by=world.by, now=timezone.now())
    destinations.delete(destination, by=world.by, now=timezone.now())
    assert not Project.objects.exists()
    assert not RedisDestination.objects.exists()


@GONE
def test_a_redis_that_comes_back_is_brought_in_step_by_the_sources_first_sync(world, server, settings, goes: Goes):
    goes(world, server)
    leave(world)
    run_finishes.sweep(now=timezone.now() + timedelta(hours=1))
    server.start()
    assert world.served() != {}
    world.put(FEWER)
    turn_on(world)

    run = world.sync()

    assert (run.state, run.kind, run.full_reason, run.warnings) == (RunState.SUCCEEDED, "full", "first", [])
    assert world.served() == expected(FEWER)
    source = Source.objects.get()
    assert (source.left_at, source.dirty_tables) == (None, [])
    assert tables(settings) == {source.base_snapshot, *(kept["table"] for kept in source.tombstones)}


def test_what_a_sync_that_failed_before_had_written_goes_as_well(world, server):
    world.put([*PEOPLE, ("ghost@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    in_vain(world, server)
    leave(world)
    server.start()
    assert "ghost@example.com" in world.served()
    world.put(FEWER)
    turn_on(world)

    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(FEWER)


def test_an_empty_redis_in_its_place_is_filled_whole(world, server):
    in_vain(world, server)
    leave(world)
    server.start()
    world.redis.flushall()
    turn_on(world)

    assert world.sync().kind == "full"
    assert world.served() == expected(PEOPLE)


def test_what_names_those_who_were_left_is_kept_for_35_days(world, server, settings):
    base = Source.objects.get().base_snapshot
    in_vain(world, server)
    leave(world)

    run_finishes.sweep(now=timezone.now() + timedelta(hours=1))
    run_finishes.sweep(now=timezone.now() + timedelta(days=34))
    assert tables(settings) == {base}
    run_finishes.sweep(now=timezone.now() + timedelta(days=36))
    assert tables(settings) == set()
    assert Source.objects.get().dirty_tables == []
    assert not SyncRun.objects.filter(tables_left=True).exists()


@pytest.mark.parametrize("lost", ["too long ago", "the table"])
def test_where_nothing_names_them_any_more_the_first_sync_says_that_some_may_be_there(world, server, settings, lost):
    in_vain(world, server)
    leave(world)
    server.start()
    if lost == "the table":
        [file] = settings.SNAPSHOT_DIR.rglob(f"{Source.objects.get().dirty_tables[0]}.duckdb")
        file.unlink()
    else:
        Source.objects.update(left_at=timezone.now() - timedelta(days=36))
        run_finishes.sweep(now=timezone.now() + timedelta(hours=1))
    turn_on(world)

    assert world.sync().warnings == ["reconcile_advised"]
    assert world.sync().warnings == []


def test_ids_that_were_out_of_step_are_forgotten(world, server):
    named = [("user", "email", "person3@example.com")]
    now = timezone.now()
    dirty_ids.add_profiles(world.source.destination_id, named, reason=DirtyId.Reason.DELETED, now=now)
    assert DirtyId.objects.exists()
    in_vain(world, server)
    leave(world)
    assert not DirtyId.objects.exists()


def test_a_removal_that_is_going_well_is_not_given_up(world):
    removal = turn_off(world)
    for refused in range(2):
        with pytest.raises(removals.NotStuck):
            leave(world)
        if not refused:
            run_steps.take_snapshot(removal.pk, now=timezone.now())

    assert world.work(removal).state == RunState.SUCCEEDED
    with pytest.raises(removals.NothingLeft):
        leave(world)
    assert Source.objects.get().left_at is None


def test_what_is_served_is_not_left(world, server):
    server.stop()
    world.work(world.start(), rounds=1)
    with pytest.raises(removals.StillServed):
        leave(world)
    Activation.objects.update(enabled=False)
    with pytest.raises(removals.NotStuck):
        leave(world)
    in_vain(world, server)
    turn_on(world)
    with pytest.raises(removals.StillServed):
        leave(world)
    assert Source.objects.get().base_snapshot


def test_only_an_admin_leaves_what_is_there_and_only_once(world, server, editor, viewer):
    in_vain(world, server)
    for member in (editor, viewer):
        with pytest.raises(PermissionRefused):
            removals.leave_behind(world.source, by=member.actor, now=timezone.now())
    assert Source.objects.get().status == Source.Status.REMOVING

    leave(world)
    left = Source.objects.get()
    with pytest.raises(removals.NothingLeft):
        leave(world)
    assert Source.objects.get().left_at == left.left_at
    assert AuditEvent.objects.filter(action="source_left_behind").count() == 1


def test_a_worker_that_wakes_after_it_changes_nothing(world, server, monkeypatch):
    """At each step of the removal; the server came back meanwhile."""
    removal = half_done(world, server)
    leave(world)
    left = Source.objects.get()
    server.start()
    there = world.served()
    partition = SyncPartition.objects.filter(run=removal).latest("number")
    asleep = SyncPartition.objects.select_related("run__source__activation__project", "run__source__destination")
    worker = asleep.get(pk=partition.pk)
    run_steps.take_snapshot(removal.pk, now=timezone.now())

    def wakes() -> None:
        with monkeypatch.context() as waking:
            waking.setattr(partitions, "claim", lambda *_, **__: worker)
            run_steps.load_partition(partition.pk, now=timezone.now())

    wakes()
    SyncPartition.objects.filter(run=removal).update(state="done")
    run_steps.finish(removal.pk, now=timezone.now())

    assert set(world.served()) <= set(there)  # what it deletes late is what was to be deleted
    present = Source.objects.get()
    assert (present.status, present.left_at) == (Source.Status.REMOVED, left.left_at)
    assert present.dirty_tables == left.dirty_tables
    assert world.again(removal).state == RunState.CANCELLED
    world.put(FEWER)
    turn_on(world)
    world.sync()
    wakes()
    assert world.served() == expected(FEWER)


def test_a_worker_that_slept_in_its_snapshot_puts_no_tables_on_record(world, server, settings, monkeypatch):
    removal = in_vain(world, server)
    server.start()
    real = run_snapshots._lay_out

    def left_meanwhile(*given: Any) -> bool:
        leave(world)
        return real(*given)

    monkeypatch.setattr(run_snapshots, "_lay_out", left_meanwhile)
    SyncRun.objects.filter(pk=removal.pk).update(not_before=timezone.now())
    run_steps.take_snapshot(removal.pk, now=timezone.now())

    source = Source.objects.get()
    assert (source.status, len(source.dirty_tables)) == (Source.Status.REMOVED, 1)
    assert tables(settings) == set(source.dirty_tables)
    assert set(world.served()) == {email for email, _ in PEOPLE}


def test_a_removal_that_was_stopped_may_be_given_up_or_started_again(world, server):
    removal = turn_off(world)
    syncs.stop(removal, by=world.by, now=timezone.now())
    assert removals.is_stuck(world.source)
    assert removals.has_left(Source.objects.get())

    again = removals.start(Source.objects.get(), by=world.by, now=timezone.now())
    assert not removals.is_stuck(world.source)
    assert world.work(again).state == RunState.SUCCEEDED
    assert world.served() == {}


def test_a_source_that_was_left_may_be_looked_for_with_reconcile(world, server):
    """A removal of what was left works off the tables that were kept."""
    in_vain(world, server)
    leave(world)
    server.start()
    run = removals.queue(Source.objects.get(), trigger=SyncRun.Trigger.RECONCILE, by=world.by, now=timezone.now())

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == {}
    source = Source.objects.get()
    assert (source.status, source.left_at, source.dirty_tables) == (Source.Status.REMOVED, None, [])
