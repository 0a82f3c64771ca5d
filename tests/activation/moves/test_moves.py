"""What a move of a destination does: both places, before and after the switch, and whatever comes in between."""

import pytest
from django.utils import timezone

from activation import destinations, enabling, guard, handles, move_steps, moves, run_steps, syncs
from activation.engine.redis_settings import RedisSettings
from activation.models import (
    Activation,
    DeletedProfilesPolicy,
    DestinationMove,
    DirtyId,
    GuardChoice,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncRun,
)
from tests.activation.moves.playing import MORE, PEOPLE, tick, until
from tests.activation.world import expected


def test_profiles_are_served_from_the_new_place_and_the_old_one_is_emptied(world, there, move, settings):
    world.redis.hset(world.key("person1@example.com"), "another_view", '{"A":1}')
    first = world.sync()

    begun = move()
    tick(world)
    assert there.served() == world.served() | {"person1@example.com": expected(PEOPLE)["person1@example.com"]}
    done = until(world, begun, "done")

    assert there.served() == expected(PEOPLE)
    assert world.served() == {"person1@example.com": {"another_view": {"A": 1}}}
    assert world.bookkeeping() == set()
    assert done.switched_at is not None
    source = Source.every_place.get()
    assert source.base_run is not None
    assert source.base_run.full_reason == "destination_moved"
    assert RedisDestination.every_place.get().settings["address"] == done.target
    tables = [path.name for path in settings.SNAPSHOT_DIR.rglob("*.duckdb")]
    assert f"{first.snapshot}.duckdb" not in tables
    assert f"{source.base_snapshot}.duckdb" in tables


def test_the_next_sync_after_a_move_is_incremental(world, there, move):
    world.sync()
    until(world, move(), "done")

    world.put(MORE)
    run = world.sync()

    assert (run.kind, run.written, run.deleted) == ("incremental", 1, 1)
    assert there.served() == expected(MORE)


def test_a_destination_can_move_again_and_back(world, there, move, servers):
    world.sync()
    until(world, move(), "done")

    back = moves.start(
        RedisDestination.objects.get(),
        settings={"address": servers[0].address},
        credentials={"password": servers[0].password},
        by=world.by,
        now=timezone.now(),
    )
    until(world, back, "done")
    world.put(MORE)
    run = world.sync()

    assert run.kind == "incremental"
    assert world.served() == expected(MORE)
    assert there.served() == {}


def test_the_old_place_is_served_and_kept_up_to_date_until_the_switch(world, there, move):
    world.sync()
    begun = move()
    move_steps.carry_on(now=timezone.now())
    load = SyncRun.objects.get(trigger="move")
    run_steps.take_snapshot(load.pk, now=timezone.now())

    world.put(MORE)
    run = world.sync()
    assert run.kind == "incremental"
    assert world.served() == expected(MORE)

    world.work(load)
    assert there.served() == expected(PEOPLE)
    until(world, begun, "done")
    assert there.served() == expected(MORE)


def test_a_sync_waits_while_the_destination_is_about_to_switch(world, there, move):
    world.sync()
    begun = move()
    tick(world)
    DestinationMove.objects.filter(pk=begun.pk).update(state="switching")

    run = world.start()
    assert syncs.claim(run.pk, now=timezone.now()) is None
    assert not syncs.claimable(now=timezone.now()).exists(), "or it would be woken for again and again"

    world.put(MORE)
    until(world, begun, "done")
    run = world.work(run)
    assert run.state == RunState.SUCCEEDED
    assert there.served() == expected(MORE)


def test_a_run_that_read_the_old_place_before_the_switch_starts_again(world, there, move, monkeypatch):
    world.sync()
    begun = move()
    tick(world)
    world.put(MORE)
    late = world.start()
    claimed = syncs.claim(late.pk, now=timezone.now())
    assert claimed is not None
    # Its claim came too late to be seen, which the switch cannot rule out.
    SyncRun.objects.filter(pk=late.pk).update(state="queued")
    until(world, begun, "removing")
    SyncRun.objects.filter(pk=late.pk).update(state="snapshot", attempt=claimed.attempt)
    monkeypatch.setattr(syncs, "claim", lambda *_, **__: claimed)

    run_steps.take_snapshot(late.pk, now=timezone.now())
    monkeypatch.undo()

    put_back = world.again(late)
    assert (put_back.state, put_back.error_code) == (RunState.QUEUED, "destination_changed")
    until(world, begun, "done")
    world.work(late)
    assert there.served() == expected(MORE)
    assert world.served() == {}


def test_a_delete_by_api_reaches_both_places(world, there, move, identity):
    world.sync()
    begun = move()
    tick(world)
    assert begun.pk

    deletion = identity.delete(world, "person1@example.com")

    assert deletion.deleted == 1
    assert "person1@example.com" not in world.served()
    assert "person1@example.com" not in there.served()
    assert not Suppression.objects.exclude(pending_key="").exists()
    until(world, begun, "done")
    world.sync()
    assert "person1@example.com" not in there.served()


def test_no_switch_before_a_delete_has_reached_the_new_place(world, there, move, identity, servers):
    world.sync()
    begun = move()
    tick(world)
    servers[1].stop()
    handles.close()

    assert identity.delete(world, "person1@example.com").deleted == 1
    move_steps.carry_on(now=timezone.now())
    move_steps.carry_on(now=timezone.now())
    assert DestinationMove.objects.get().switched_at is None
    assert Suppression.objects.exclude(pending_key="").count() == 1

    servers[1].start()
    until(world, begun, "done")
    assert "person1@example.com" not in there.served()
    assert not Suppression.objects.exclude(pending_key="").exists()


def test_a_profile_that_may_return_is_looked_after_in_both_places(world, there, move, identity):
    Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
    world.sync()
    begun = move()
    tick(world)

    identity.delete(world, "person1@example.com")
    assert DirtyId.objects.count() == 2
    until(world, begun, "done")
    world.sync()

    assert there.served() == expected(PEOPLE)


def test_a_cancelled_move_leaves_everything_as_it_was(world, there, move):
    world.sync()
    begun = move()
    tick(world)
    there.redis.set("somebody:elses", "key")

    moves.cancel(begun, by=world.by, now=timezone.now())
    until(world, begun, "cancelled")

    assert world.served() == expected(PEOPLE)
    assert there.redis.keys() == [b"somebody:elses"]
    assert Source.every_place.count() == RedisDestination.every_place.count() == 1
    world.put(MORE)
    assert world.sync().kind == "incremental"
    with pytest.raises(moves.NotToBeDone):
        moves.cancel(begun, by=world.by, now=timezone.now())


def test_a_load_that_failed_waits_for_somebody_who_tries_again(world, there, move):
    world.sync()
    begun = move()
    move_steps.carry_on(now=timezone.now())
    load = SyncRun.objects.get(trigger="move")
    syncs.stop(load, by=world.by, now=timezone.now())
    tick(world)
    tick(world)
    assert SyncRun.objects.filter(trigger="move").count() == 1
    [part] = move_steps.parts(begun)
    assert (part.word, part.failed) == ("Stopped", True)

    assert moves.try_again(begun, by=world.by, now=timezone.now()) == 1
    until(world, begun, "done")
    assert there.served() == expected(PEOPLE)
    with pytest.raises(moves.NotToBeDone):
        moves.try_again(begun, by=world.by, now=timezone.now())


def test_an_old_place_that_is_gone_can_be_left_behind(world, there, move, servers, settings):
    world.sync()
    begun = move()
    until(world, begun, "removing")
    servers[0].stop()
    tick(world, later=300)

    moves.leave_behind(begun, by=world.by, now=timezone.now())

    ended = until(world, begun, "done")
    assert ended.left_behind
    with pytest.raises(moves.NotToBeDone):
        moves.leave_behind(begun, by=world.by, now=timezone.now())
    assert not [each for each in settings.SNAPSHOT_DIR.rglob("*.duckdb") if f"_s{world.source.pk}_" in each.name]
    assert Source.every_place.count() == RedisDestination.every_place.count() == 1
    world.put(MORE)
    assert world.sync().kind == "incremental"
    assert there.served() == expected(MORE)


def test_a_view_that_was_emptied_meanwhile_does_not_empty_the_new_place(world, there, move):
    world.sync()
    Activation.objects.update(guard_rows=1)
    begun = move()
    world.put(PEOPLE[:2])
    tick(world)
    tick(world)

    [part] = move_steps.parts(begun)
    assert part.run is not None
    assert part.run.error_code == guard.CODE
    assert DestinationMove.objects.get().state == "loading"

    guard.confirm(part.run, choice=GuardChoice.DELETE, by=world.by, now=timezone.now())
    until(world, begun, "done")
    assert there.served() == expected(PEOPLE[:2])


def test_what_a_failed_run_wrote_to_the_old_place_is_removed_from_it(world, there, move):
    world.sync()
    world.put([*PEOPLE, ("ghost@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition_id in run.partitions.values_list("pk", flat=True):
        run_steps.load_partition(partition_id, now=timezone.now())
    syncs.stop(run, by=world.by, now=timezone.now())
    world.put(PEOPLE)

    until(world, move(), "done")

    assert there.served() == expected(PEOPLE)
    assert world.served() == {}


def test_a_source_that_is_removed_meanwhile_is_removed_from_both_places(world, there, move):
    world.sync()
    begun = move()
    tick(world)
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)

    until(world, begun, "done")

    assert world.served() == there.served() == {}
    assert Source.objects.get().status == Source.Status.REMOVED


def test_a_source_that_cannot_be_loaded_is_named_before_the_move(world, move):
    world.sync()
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now())

    with pytest.raises(moves.MoveRefused, match="is off"):
        move()


def test_the_same_place_and_a_second_move_are_refused(world, move, servers):
    with pytest.raises(destinations.DestinationInvalid):
        moves.verify(world.source.destination, settings={"address": servers[0].address}, credentials={})
    move()
    with pytest.raises(moves.MoveRefused):
        move()
    Activation.objects.update(enabled=False)
    Source.objects.update(status=Source.Status.REMOVED)
    with pytest.raises(destinations.DestinationInUse):
        destinations.delete(RedisDestination.objects.get(), by=world.by, now=timezone.now())


def test_a_place_that_is_the_old_one_or_holds_a_copy_is_found_out(world, there, servers):
    destination = world.source.destination
    here, elsewhere = (
        RedisSettings.from_plain({"address": each.address}, {"password": each.password}) for each in servers
    )
    assert "the place where the profiles are now" in moves.problem_with(here, destination)
    assert moves.problem_with(elsewhere, destination) == ""

    world.sync()
    for key in world.redis.scan_iter():
        there.redis.restore(key, 0, world.redis.dump(key))

    assert "holds a copy" in moves.problem_with(elsewhere, destination)
    assert not [key for key in world.redis.scan_iter() if key.endswith(b":probe")]
