"""What a removal takes out of Redis, what it leaves, and what may be deleted afterwards."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from activation import destinations, dirty_ids, enabling, lifts, removals, run_steps, suppressions
from activation.models import (
    Activation,
    DeletedProfilesPolicy,
    DirtyId,
    RedisDestination,
    RunState,
    Source,
    SyncPartition,
    SyncRun,
)
from projects import projects
from projects.models import Project
from tests.activation.world import World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=10)


def test_turning_off_with_removal_takes_out_exactly_our_fields(world, settings):
    world.redis.hset(world.key("person1@example.com"), "another_view", '{"A":1}')
    world.sync()

    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    run = world.work(SyncRun.objects.get(kind="removal"))

    assert (run.state, run.deleted) == (RunState.SUCCEEDED, 25)
    assert world.served() == {"person1@example.com": {"another_view": {"A": 1}}}
    assert world.bookkeeping() == set()
    source = Source.objects.get()
    assert (source.status, source.base_snapshot, source.base_run) == (Source.Status.REMOVED, "", None)
    left = [file.stem for file in settings.SNAPSHOT_DIR.rglob("*_s*_r*_a*.duckdb")]
    assert left == [kept["table"] for kept in source.tombstones], "only the ids, for when a backup is restored"
    with pytest.raises(removals.NothingLeft):
        removals.start(source, by=world.by, now=timezone.now())


def test_a_removal_also_takes_out_what_a_failed_sync_wrote(world):
    world.sync()
    world.put([*PEOPLE, ("ghost@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())

    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    world.work(SyncRun.objects.get(kind="removal"))

    assert world.again(run).state == RunState.CANCELLED
    assert world.served() == {}


def test_a_source_that_is_synced_is_not_removed(world):
    world.sync()

    with pytest.raises(removals.StillServed):
        removals.start(world.source, by=world.by, now=timezone.now())


def test_a_removal_whose_base_is_gone_says_what_to_do(world, settings):
    run = world.sync()
    [base] = settings.SNAPSHOT_DIR.rglob(f"{run.snapshot}.duckdb")
    base.unlink()

    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    run = world.work(SyncRun.objects.get(kind="removal"))

    assert (run.state, run.error_code) == (RunState.FAILED, "record_lost")
    assert "Reconcile" in run.error


def test_a_removed_source_returns_when_the_sync_is_turned_on_again(world):
    world.sync()
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    world.work(SyncRun.objects.get(kind="removal"))
    Source.objects.update(status=Source.Status.ACTIVE)
    Activation.objects.update(enabled=True)

    run = world.sync()

    assert (run.kind, run.full_reason) == ("full", "first")
    assert world.served() == expected(PEOPLE)


def test_project_and_destination_can_be_deleted_once_the_profiles_are_removed(world):
    world.sync()
    project, destination = world.source.activation.project, world.source.destination
    with pytest.raises(destinations.DestinationInUse):
        destinations.delete(destination, by=world.by, now=timezone.now())
    enabling.disable(project, by=world.by, now=timezone.now(), remove=True)
    world.work(SyncRun.objects.get(kind="removal"))

    projects.delete(project, by=world.by, now=timezone.now())
    destinations.delete(destination, by=world.by, now=timezone.now())

    assert not Project.objects.exists()
    assert not RedisDestination.objects.exists()


def test_a_lifted_suppression_lets_the_profile_return_with_the_next_sync(world):
    world.sync()
    destination, email = world.source.destination, "person3@example.com"
    suppressions.suppress(destination, [world.key(email)], by=world.by, now=timezone.now())
    world.redis.delete(world.key(email))
    world.sync()
    assert email not in world.served()

    named = {"entity": "user", "id_type": "email", "value": email}
    assert lifts.lift(destination, **named, by=world.by, now=timezone.now()) == 1
    assert lifts.lift(destination, **named, by=world.by, now=timezone.now()) == 0
    run = world.sync()

    assert (run.kind, run.written) == ("incremental", 1)
    assert world.served() == expected(PEOPLE)


def test_profiles_that_may_return_do_so_with_the_next_sync(world):
    Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
    world.sync()
    world.redis.delete(world.key("person3@example.com"))
    named = [("user", "email", "person3@example.com")]
    dirty_ids.add_profiles(world.source.destination_id, named, reason=DirtyId.Reason.DELETED, now=timezone.now())

    run = world.sync()

    assert (run.kind, run.written) == ("incremental", 1)
    assert world.served() == expected(PEOPLE)
