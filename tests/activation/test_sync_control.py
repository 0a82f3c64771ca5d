"""Starting, coalescing and stopping syncs: rows and conditional updates only, with workers played in process."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import partitions, recovery, run_states, run_steps, syncs, watching
from activation.engine.bookkeeping import FenceMoved
from activation.models import ACTIVE_STATES, Activation, RunState, Source, SyncPartition, SyncRun
from activation.run_resources import claim_of, loader_of
from config.embedded import EmbeddedServer
from projects.models import ProfilesRun, RunOrigin, RunStatus
from tests.activation.world import World, build, expected
from tests.cast import Member

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]
PERSON, API = SyncRun.Trigger.PERSON, SyncRun.Trigger.API


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination")) as server:
        yield server


@pytest.fixture
def world(admin: Member, running_server: EmbeddedServer, settings, tmp_path, transactional_db: None) -> Iterator[World]:
    settings.PARTITION_ROWS = 10
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, running_server)
    world.redis.flushall()
    world.put(PEOPLE)
    yield world
    world.redis.close()


def request(world: World, **wanted) -> SyncRun | None:
    arguments = {"trigger": PERSON, "by": world.by, "now": timezone.now(), **wanted}
    return syncs.request(Source.objects.get(), **arguments)


def follow_ups() -> list[SyncRun]:
    return watching.start_follow_ups(now=timezone.now())


def stop(run: SyncRun | None, world: World) -> bool:
    assert run is not None
    return syncs.stop(run, by=world.by, now=timezone.now())


def test_a_run_that_is_to_be_full_says_so_and_why(world):
    run = syncs.start(Source.objects.get(), trigger=API, by=world.by, now=timezone.now(), full=True)

    assert (run.kind, run.full_reason) == (SyncRun.Kind.FULL, "requested")


def test_any_other_run_asks_for_what_changed(world):
    run = world.start()

    assert (run.kind, run.full_reason) == (SyncRun.Kind.INCREMENTAL, "")


def test_a_request_starts_a_run_when_none_is_active(world):
    run = request(world)

    assert run is not None
    assert run.state == RunState.QUEUED
    assert Source.objects.get().follow_up == {}


def test_however_many_ask_while_a_run_is_active_one_follows_and_once(world):
    first = request(world)
    for trigger in (PERSON, API, SyncRun.Trigger.SCHEDULE):
        assert request(world, trigger=trigger) is None
    assert follow_ups() == []

    world.work(first)
    (second,) = follow_ups()

    assert (second.trigger, second.kind, second.requested_by) == (PERSON, SyncRun.Kind.INCREMENTAL, world.by.name)
    assert follow_ups() == []
    world.work(second)
    assert follow_ups() == []
    assert SyncRun.objects.count() == 2


def test_a_full_sync_asked_for_meanwhile_makes_the_one_that_follows_full(world, editor):
    first = request(world)
    request(world)
    request(world, trigger=API, full=True, by=editor.actor)
    request(world)

    world.work(first)
    (second,) = follow_ups()

    assert (second.kind, second.full_reason) == (SyncRun.Kind.FULL, "requested")
    assert (second.trigger, second.requested_by) == (API, editor.actor.name)


def test_what_was_asked_for_is_recorded_once_in_the_audit_log(world):
    request(world)
    request(world)
    request(world)

    actions = list(AuditEvent.objects.filter(target_type="source").values_list("action", flat=True))

    assert sorted(actions) == ["sync.follow_up_requested", "sync.started"]


def test_a_run_that_is_started_before_the_follow_up_takes_its_place(world):
    first = request(world)
    request(world, full=True)
    world.work(first)

    second = world.start()

    assert second.kind == SyncRun.Kind.FULL
    world.work(second)
    assert follow_ups() == []


def test_two_ticks_at_once_start_one_follow_up(world):
    first = request(world)
    request(world)
    world.work(first)
    seen_twice = [Source.objects.select_related("activation__project__organisation").get() for _ in range(2)]

    started = [syncs.start_follow_up(source, now=timezone.now()) for source in seen_twice]
    assert started[0] is not None
    world.work(started[0])
    late = syncs.start_follow_up(seen_twice[1], now=timezone.now())

    assert (started[1], late) == (None, None)
    assert SyncRun.objects.count() == 2


def test_many_threads_that_ask_at_once_lead_to_one_run_and_one_follow_up(world):
    ready = threading.Barrier(6)
    runs: list[SyncRun | None] = []

    def ask() -> None:
        ready.wait()
        try:
            runs.append(request(world))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(runs) == 6
    assert [run for run in runs if run] == list(SyncRun.objects.all())
    assert Source.objects.get().follow_up == {"trigger": "person", "full": False, "by": world.by.name}


def test_a_follow_up_waits_while_the_sync_is_turned_off(world):
    first = request(world)
    request(world)
    world.work(first)
    Activation.objects.update(enabled=False)
    assert follow_ups() == []

    Activation.objects.update(enabled=True)

    assert len(follow_ups()) == 1


def test_a_sync_by_hand_covers_the_profiles_runs_before_it(world):
    finished = ProfilesRun.objects.create(
        project=world.source.activation.project,
        status=RunStatus.FINISHED,
        origin=RunOrigin.API,
        reference="r1",
        finished_at=timezone.now(),
    )

    run = world.sync()

    assert run.profiles_run == finished
    assert watching.start_syncs_of_new_runs(now=timezone.now()) == []


@pytest.mark.parametrize("state", ACTIVE_STATES)
def test_stop_ends_an_active_run_in_whatever_state_it_is(world, state):
    run = world.start()
    SyncRun.objects.filter(pk=run.pk).update(state=state, fences_open=True, heartbeat_at=timezone.now())

    assert stop(run, world)

    run = world.again(run)
    assert (run.state, run.stopped_by) == (RunState.CANCELLED, world.by.name)
    assert run.finished_at
    assert run.fences_open  # recovery closes them
    assert AuditEvent.objects.filter(action="sync.stopped", details={"run": run.public_id}).count() == 1


def test_stop_of_a_run_that_has_ended_changes_nothing(world):
    run = world.sync()

    assert not stop(run, world)

    assert world.again(run).state == RunState.SUCCEEDED
    assert not AuditEvent.objects.filter(action="sync.stopped").exists()


def test_stop_drops_what_was_to_follow(world):
    run = request(world)
    request(world)

    stop(run, world)

    assert Source.objects.get().follow_up == {}
    assert follow_ups() == []


def test_stop_reaches_a_run_that_moves_on_meanwhile(world, monkeypatch):
    run = world.start()
    move = run_states.move

    def moved_on_first(present, to, **fields):
        if to == RunState.CANCELLED and present.state == RunState.QUEUED:
            assert syncs.claim(run.pk, now=timezone.now())
        return move(present, to, **fields)

    monkeypatch.setattr(run_states, "move", moved_on_first)

    assert stop(run, world)

    run = world.again(run)
    assert (run.state, run.attempt) == (RunState.CANCELLED, 1)


def test_a_worker_of_a_stopped_run_can_neither_complete_its_partition_nor_finish(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    claimed = partitions.claim(SyncPartition.objects.filter(run=run)[0].pk, now=timezone.now())
    assert claimed is not None

    stop(run, world)

    assert not partitions.beat(claimed, {})
    assert not partitions.complete(claimed, {"written": 10}, {}, now=timezone.now())
    assert not run_steps.finish(run.pk, now=timezone.now())
    assert Source.objects.get().base_snapshot == ""


def test_a_worker_that_sleeps_through_stop_writes_nothing_when_it_wakes(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    asleep = partitions.claim(SyncPartition.objects.filter(run=run)[0].pk, now=timezone.now())
    assert asleep is not None
    SyncRun.objects.filter(pk=run.pk).update(not_before=timezone.now() + timedelta(minutes=1))

    stop(run, world)
    recovery.close_left_fences(now=timezone.now())

    assert not world.again(run).fences_open
    with loader_of(world.source) as loader, pytest.raises(FenceMoved):
        loader.write(claim_of(asleep), [world.key("person1@example.com")], ['{"old":1}'])
    assert world.served() == {}


def test_a_sync_after_a_stopped_one_brings_everything(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    run_steps.load_partition(SyncPartition.objects.filter(run=run)[0].pk, now=timezone.now())
    stop(run, world)

    run = world.sync()

    assert run.state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_a_viewer_can_neither_start_nor_request_nor_stop(world, viewer, editor):
    run = request(world, by=editor.actor)

    for refused in (
        lambda: request(world, by=viewer.actor),
        lambda: syncs.stop(SyncRun.objects.get(), by=viewer.actor, now=timezone.now()),
    ):
        with pytest.raises(PermissionRefused):
            refused()

    assert run is not None
    assert syncs.stop(run, by=editor.actor, now=timezone.now())
