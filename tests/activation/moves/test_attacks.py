"""What happens to a place, a source or an application in the middle of a move, at the worst moments."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activation import (
    destinations,
    enabling,
    handles,
    move_steps,
    move_switches,
    moves,
    removals,
    run_finishes,
    run_steps,
    source_tables,
    suppressions,
    syncs,
)
from activation.handle import Handle
from activation.models import (
    DestinationMove,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncRun,
)
from projects.warehouses.port import WarehouseUnreachable
from tests.activation.moves.playing import MORE, PEOPLE, tick, until
from tests.activation.world import expected


def loaded(world, move) -> DestinationMove:
    """Begin a move and load the new place, without the tick that would switch."""
    world.sync()
    begun: DestinationMove = move()
    move_steps.carry_on(now=timezone.now())
    for run in SyncRun.objects.filter(trigger="move"):
        assert world.work(run).state == RunState.SUCCEEDED
    return begun


def tables(settings) -> list[str]:
    """List our tables in the warehouse, but for the log of syncs."""
    return [path.stem for path in settings.SNAPSHOT_DIR.rglob("*.duckdb") if "sync_log" not in path.stem]


def state_of(begun: DestinationMove) -> str:
    return str(DestinationMove.objects.get(pk=begun.pk).state)


def sleeps_until_it_asks_anew(monkeypatch: pytest.MonkeyPatch, old: Handle) -> None:
    """Play a process that goes on with a handle that it got long ago."""
    real = handles.get
    monkeypatch.setattr(handles, "get", lambda *what, anew=False: real(*what, anew=True) if anew else old)


def test_a_new_place_that_was_emptied_is_loaded_again_before_the_switch(world, there, move):
    begun = loaded(world, move)
    there.redis.flushall()

    move_steps.carry_on(now=timezone.now())
    assert DestinationMove.objects.get().switched_at is None
    assert world.served() == expected(PEOPLE)
    assert world.sync().state == RunState.SUCCEEDED  # syncs into the served place go on meanwhile

    until(world, begun, "done")
    assert there.served() == expected(PEOPLE)
    again = SyncRun.objects.filter(trigger="move", kind="full").latest("pk")
    assert again.full_reason == "destination_lost_data"


def test_a_new_place_that_forgot_everything_in_a_restart_is_loaded_again(world, there, move, servers):
    begun = loaded(world, move)
    servers[1].stop()
    servers[1].start()

    until(world, begun, "done")
    assert there.served() == expected(PEOPLE)


def test_no_switch_to_a_new_place_that_is_away_and_syncs_go_on(world, there, move, servers):
    begun = loaded(world, move)
    servers[1].stop()

    for _ in range(3):
        move_steps.carry_on(now=timezone.now())
    assert state_of(begun) == "loading"
    world.put(MORE)
    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(MORE)

    servers[1].start()
    until(world, begun, "done")
    assert there.served() == expected(MORE)


def test_an_old_place_that_is_gone_hinders_no_switch(world, there, move, servers):
    begun = loaded(world, move)
    servers[0].stop()
    handles.close()
    destination = RedisDestination.objects.get()
    key = world.key("person1@example.com")
    suppressions.suppress(destination, [key], by=world.by, now=timezone.now())

    until(world, begun, "removing", rounds=3)
    assert there.served() == expected([PEOPLE[0], *PEOPLE[2:]])
    # The delete goes on waiting for the old place, until that one is left behind.
    assert Suppression.objects.exclude(pending_key="").exists()
    moves.leave_behind(begun, by=world.by, now=timezone.now())
    until(world, begun, "done")
    handles.close()
    tick(world, later=600)
    assert not Suppression.objects.exclude(pending_key="").exists()


def test_a_delete_by_a_process_that_knows_nothing_of_the_move_reaches_the_new_place(
    world, there, move, identity, monkeypatch
):
    world.sync()
    old = handles.get(world.by.organisation.pk, world.source.destination.public_id)
    begun = move()
    tick(world)
    # It looked the destination up before the move, and was paused since.
    sleeps_until_it_asks_anew(monkeypatch, old)

    assert identity.delete(world, "person1@example.com").deleted == 1

    assert "person1@example.com" not in there.served()
    monkeypatch.undo()
    until(world, begun, "done")
    assert "person1@example.com" not in there.served()


def test_a_delete_by_a_process_that_slept_through_the_switch_reaches_the_new_place(
    world, there, move, identity, monkeypatch
):
    world.sync()
    begun = move()
    old = handles.Handles().get(world.by.organisation.pk, world.source.destination.public_id)
    until(world, begun, "done")
    sleeps_until_it_asks_anew(monkeypatch, old)

    assert identity.delete(world, "person1@example.com").deleted == 1
    assert "person1@example.com" not in there.served()


def test_no_switch_while_a_removal_at_the_new_place_is_not_done(world, there, move):
    begun = loaded(world, move)
    project = world.source.activation.project
    enabling.disable(project, by=world.by, now=timezone.now(), remove=True)
    move_steps.carry_on(now=timezone.now())
    removal = SyncRun.objects.get(source__in=moves.others_of(begun), kind="removal")
    syncs.stop(removal, by=world.by, now=timezone.now())
    tick(world)
    tick(world)
    assert Source.objects.get().status == Source.Status.REMOVED
    assert state_of(begun) == "loading"
    [part] = move_steps.parts(begun)
    assert part.failed

    moves.try_again(begun, by=world.by, now=timezone.now())
    until(world, begun, "done")
    assert there.served() == world.served() == {}
    assert there.bookkeeping() == set()


def test_a_source_that_returns_and_goes_again_is_removed_at_the_new_place(world, there, move):
    begun = loaded(world, move)
    project = world.source.activation.project
    enabling.disable(project, by=world.by, now=timezone.now(), remove=True)
    move_steps.carry_on(now=timezone.now())
    world.work(SyncRun.objects.get(source__in=moves.others_of(begun), kind="removal"))
    assert there.served() == {}
    syncs.stop(SyncRun.objects.get(source=world.source, kind="removal"), by=world.by, now=timezone.now())
    Source.objects.filter(pk=world.source.pk).update(status=Source.Status.ACTIVE)
    move_steps.carry_on(now=timezone.now())
    assert state_of(begun) == "loading"
    enabling.disable(project, by=world.by, now=timezone.now(), remove=True)

    until(world, begun, "done")
    assert there.served() == world.served() == {}


def test_a_run_whose_workers_may_still_write_makes_its_next_attempt_where_they_are(world, there, move):
    begun = loaded(world, move)
    world.put(MORE)
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    DestinationMove.objects.update(state="switching")
    world.redis.flushall()  # the old place loses the run's fences
    for partition_id in run.partitions.values_list("pk", flat=True):
        run_steps.load_partition(partition_id, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk, state="queued").update(fences_open=True)

    until(world, begun, "done")
    assert there.served() == expected(MORE)
    assert world.again(run).state == RunState.SUCCEEDED


def test_an_edit_that_was_tried_before_the_switch_does_not_lead_back(world, there, move, servers):
    destination = world.source.destination
    until(world, (begun := loaded(world, move)), "done")
    assert begun

    with pytest.raises(destinations.DestinationInvalid):
        destinations.update_credentials(
            destination,  # as it was read before the switch
            settings={"address": servers[0].address},
            credentials={"password": servers[0].password},
            by=world.by,
            now=timezone.now(),
        )

    assert RedisDestination.objects.get().settings["address"] == servers[1].address


def test_no_table_is_left_when_the_removal_could_not_tidy_up(world, there, move, settings, monkeypatch):
    begun = loaded(world, move)

    def away(*_: object) -> None:
        raise WarehouseUnreachable("The warehouse is away.")

    with monkeypatch.context() as patch:
        patch.setattr(run_finishes, "drop_left_overs", away)
        patch.setattr(move_steps, "drop_every_table", away)
        until(world, begun, "removing")
        for number in range(5):
            tick(world, later=30 * number)
        assert state_of(begun) == "removing"

    until(world, begun, "done")
    assert tables(settings) == [Source.objects.get().base_snapshot]


def test_no_table_is_left_of_a_place_that_was_left_while_the_warehouse_was_away(
    world, there, move, servers, settings, monkeypatch
):
    begun = loaded(world, move)
    servers[0].stop()
    until(world, begun, "removing")

    def away(*_: object) -> None:
        raise WarehouseUnreachable("The warehouse is away.")

    with monkeypatch.context() as patch:
        patch.setattr(move_steps, "drop_every_table", away)
        moves.leave_behind(begun, by=world.by, now=timezone.now())
        until(world, begun, "done")
    base = Source.objects.get().base_snapshot
    assert len(tables(settings)) > 1

    source_tables.sweep(now=timezone.now() + timedelta(minutes=10))
    assert tables(settings) == [base]


def test_the_old_place_is_emptied_once_no_process_can_read_it(world, there, move, settings):
    settings.STALE_READS_FOR = 60
    begun = until(world, loaded(world, move), "removing")
    assert begun.switched_at is not None

    tick(world, later=59)
    assert world.served() == expected(PEOPLE)  # processes without our database still answer from it
    until(world, begun, "done")
    assert world.served() == {}


def test_two_ticks_and_a_cancel_at_once_leave_nothing_at_the_new_place(world, there, move, monkeypatch):
    begun = loaded(world, move)
    first = move_switches.in_step

    def cancelled_meanwhile(other: Source) -> bool:
        monkeypatch.setattr(move_switches, "in_step", first)
        moves.cancel(begun, by=world.by, now=timezone.now())
        return first(other)

    monkeypatch.setattr(move_switches, "in_step", cancelled_meanwhile)
    move_steps.carry_on(now=timezone.now())

    until(world, begun, "cancelled")
    assert there.served() == {}
    assert world.served() == expected(PEOPLE)
    assert removals.has_left(Source.objects.get()) is False
