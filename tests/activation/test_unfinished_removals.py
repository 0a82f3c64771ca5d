"""Removals that are stopped, overtaken by the source's return, or die at their last step."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from activation import enabling, run_finishes, run_steps, syncs, watching
from activation.models import RunState, Source, SyncPartition, SyncRun
from config.embedded import EmbeddedServer
from projects.placements import ServedView
from projects.warehouses.port import Relation, WarehouseUnreachable
from tests.activation.world import VIEW, World, build, expected
from tests.cast import Member

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]


@pytest.fixture
def world(admin: Member, redis_server: EmbeddedServer, settings, tmp_path, transactional_db: None) -> Iterator[World]:
    settings.PARTITION_ROWS = 10
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, redis_server)
    world.put(PEOPLE)
    world.sync()
    yield world
    world.redis.flushall()
    world.redis.close()


def turn_off(world: World) -> SyncRun:
    """Turn the sync off and have the profiles removed."""
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    return SyncRun.objects.get(kind="removal")


def turn_on(world: World) -> None:
    """Turn the sync on again; nothing is missing for it."""
    view = ServedView("user", "email", VIEW, Relation("profiles", VIEW), "email")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enabling, "preconditions", lambda _: [])
        patch.setattr(enabling, "served_views", lambda _: [view])
        project, destination = world.source.activation.project, world.source.destination
        enabling.enable(project, destination, by=world.by, now=timezone.now())


def tables(settings) -> list[str]:
    return [file.stem for file in settings.SNAPSHOT_DIR.rglob("*_s*_r*_a*.duckdb")]


@pytest.mark.parametrize("returns_first", [True, False])
def test_what_a_stopped_removal_took_away_comes_back_with_the_source(world, returns_first):
    removal = turn_off(world)
    if returns_first:
        turn_on(world)
    run_steps.take_snapshot(removal.pk, now=timezone.now())
    run_steps.load_partition(SyncPartition.objects.filter(run=removal)[0].pk, now=timezone.now())
    assert len(world.served()) < len(PEOPLE)
    if not returns_first:
        turn_on(world)
    syncs.stop(removal, by=world.by, now=timezone.now())

    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_what_a_stopped_removal_took_away_is_known_to_be_out_of_step(world):
    removal = turn_off(world)
    run_steps.take_snapshot(removal.pk, now=timezone.now())
    run_steps.load_partition(SyncPartition.objects.filter(run=removal)[0].pk, now=timezone.now())
    syncs.stop(removal, by=world.by, now=timezone.now())
    turn_on(world)
    Source.objects.update(full_next="")

    run = world.work(SyncRun.objects.latest("pk"))

    assert (run.state, run.kind) == (RunState.SUCCEEDED, "incremental")
    assert world.served() == expected(PEOPLE)


def test_a_source_that_returns_during_its_removal_is_synced_after_it(world):
    removal = turn_off(world)
    turn_on(world)
    world.work(removal)
    assert world.served() == {}

    [run] = watching.start_follow_ups(now=timezone.now())

    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_a_source_that_is_turned_off_again_during_its_removal_ends_removed(world):
    removal = turn_off(world)
    turn_on(world)
    assert turn_off(world) == removal

    world.work(removal)

    assert world.served() == {}
    source = Source.objects.get()
    assert (source.status, source.follow_up) == (Source.Status.REMOVED, {})


def test_tables_that_a_removal_left_behind_are_dropped_later(world, settings, monkeypatch):
    def away(_: SyncRun) -> None:
        raise WarehouseUnreachable("The warehouse is away.")

    removal, now = turn_off(world), timezone.now()
    with monkeypatch.context() as dying:
        dying.setattr(run_finishes, "drop_left_overs", away)
        removal = world.work(removal)
        assert removal.state == RunState.SUCCEEDED
        run_finishes.sweep(now=now + timedelta(hours=1))
    assert tables(settings)

    run_finishes.sweep(now=now + timedelta(hours=1, minutes=10))
    assert tables(settings), "they were looked for within the hour"
    run_finishes.sweep(now=now + timedelta(hours=2))
    assert tables(settings) == [removal.deletes_table]

    run_finishes.sweep(now=now + timedelta(days=34))
    assert tables(settings) == [removal.deletes_table]
    run_finishes.sweep(now=now + timedelta(days=36))
    assert tables(settings) == []
    assert not SyncRun.objects.filter(tables_left=True).exists()


def test_a_backup_of_the_time_before_a_removal_brings_nobody_back(world):
    before = {key: world.redis.dump(key) for key in world.redis.scan_iter()}
    world.work(turn_off(world))
    world.put(PEOPLE[:20])
    turn_on(world)
    world.work(SyncRun.objects.latest("pk"))
    world.redis.flushall()
    for key, value in before.items():
        world.redis.restore(key, 0, value)

    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE[:20])
