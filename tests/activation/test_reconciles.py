"""What Reconcile finds that no source accounts for, what it removes once confirmed, and what it never touches."""

from collections.abc import Callable

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import enabling, partitions, reconcile_hand_overs, reconcile_looks, reconciles, run_steps, syncs
from activation.engine.keyspace import Walk
from activation.models import Activation, Reconcile, RedisDestination, RunState, Source, SyncRun
from activation.reconciles import View
from tests.activation.world import VIEW, World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(60)]
STRAYS = [f"left{n}@example.com" for n in range(7)]
State = Reconcile.State


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=50)


def leave(world: World, *emails: str, view: str = VIEW) -> None:
    """Put profiles into Redis that no sync of ours knows of."""
    for email in emails:
        world.redis.hset(world.key(email), view, '{"score":0}')


def ask(world: World, *also: View) -> Reconcile:
    return reconciles.request(world.source.destination, also=also, by=world.by, now=timezone.now())


def look(row: Reconcile) -> Reconcile:
    """Play the workers until the look has come to its end."""
    for _ in range(100):
        Reconcile.objects.update(not_before=timezone.now())
        reconcile_looks.look(row.pk, now=timezone.now())
        row.refresh_from_db()
        if row.state not in {State.QUEUED, State.LOOKING}:
            return row
    raise AssertionError("the look does not end")


def confirm(world: World, row: Reconcile) -> list[SyncRun]:
    """Confirm what was found and play the workers; return the runs that took care of it."""
    reconciles.confirm(row, removing=reconciles.to_remove(row), by=world.by, now=timezone.now())
    reconcile_hand_overs.carry_on(now=timezone.now())
    row.refresh_from_db()
    return [world.work(run) for run in SyncRun.objects.filter(trigger=SyncRun.Trigger.RECONCILE)]


def test_nothing_is_left_over_after_plain_syncs(world):
    world.sync()

    row = look(ask(world))

    assert (row.state, reconciles.to_remove(row), row.counts["keys"]) == (State.DONE, 0, 60)
    assert row.findings == {str(world.source.pk): {"found": 60}}


def test_profiles_that_the_base_does_not_have_are_counted_and_removed_once_confirmed(world):
    world.sync()
    leave(world, *STRAYS)
    world.redis.hset(world.key(STRAYS[0]), "another_view", '{"A":1}')

    row = look(ask(world))

    assert (row.state, reconciles.strays(row)) == (State.READY, 7)
    assert len(world.served()) == 67
    [run] = confirm(world, row)
    assert (row.state, run.state, run.kind, run.deleted, run.written) == ("done", "succeeded", "incremental", 7, 0)
    assert world.served() == {**expected(PEOPLE), STRAYS[0]: {"another_view": {"A": 1}}}


def test_what_the_view_has_by_the_time_of_the_removal_is_written_and_not_deleted(world):
    """The preview is old by the time it is confirmed: two of the strays are people again."""
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    back = [(STRAYS[0], 1), (STRAYS[1], 2)]
    world.put([*PEOPLE, *back])

    [run] = confirm(world, row)

    assert (run.written, run.deleted) == (2, 5)
    assert world.served() == expected([*PEOPLE, *back])


def test_a_sync_between_the_look_and_the_confirmation_changes_nothing_about_it(world):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    world.put([*PEOPLE, (STRAYS[0], 1)])
    world.sync()

    confirm(world, row)

    assert world.served() == expected([*PEOPLE, (STRAYS[0], 1)])


def test_a_sync_that_runs_is_waited_for(world):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    world.put([*PEOPLE, ("new@example.com", 1)])
    active = world.start()
    run_steps.take_snapshot(active.pk, now=timezone.now())

    assert confirm(world, row) == []
    assert row.state == State.REMOVING
    world.work(active)
    reconcile_hand_overs.carry_on(now=timezone.now())

    row.refresh_from_db()
    world.work(SyncRun.objects.get(trigger="reconcile"))
    assert row.state == State.DONE
    assert world.served() == expected([*PEOPLE, ("new@example.com", 1)])


def test_what_a_sync_is_about_to_write_is_no_left_over(world):
    """The sync has written people who are in no base yet when the look passes them."""
    world.sync()
    world.put([*PEOPLE, ("new@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition_id in partitions.waiting(now=timezone.now()).values_list("pk", flat=True):
        run_steps.load_partition(partition_id, now=timezone.now())

    assert reconciles.strays(look(ask(world))) == 0


def test_ids_that_a_failed_handed_over_run_did_not_get_to_stay_on_record(world):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    reconciles.confirm(row, removing=7, by=world.by, now=timezone.now())
    reconcile_hand_overs.carry_on(now=timezone.now())
    syncs.stop(SyncRun.objects.get(trigger="reconcile"), by=world.by, now=timezone.now())
    tidied(row)

    world.sync()

    assert world.served() == expected(PEOPLE)


def test_a_source_without_a_base_is_not_compared(world):
    leave(world, *STRAYS)

    row = look(ask(world))

    assert (row.state, row.findings) == (State.DONE, {str(world.source.pk): {"found": 7, "uncompared": 7}})


def test_a_source_that_is_off_is_not_compared(world):
    world.sync()
    leave(world, *STRAYS)
    Activation.objects.update(enabled=False)

    assert reconciles.to_remove(look(ask(world))) == 0


def test_profiles_of_a_removal_whose_tables_are_gone_are_found_in_redis(world, settings):
    run = world.sync()
    leave(world, *STRAYS)
    [base] = settings.SNAPSHOT_DIR.rglob(f"{run.snapshot}.duckdb")
    base.unlink()
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    failed = world.work(SyncRun.objects.get(kind="removal"))
    assert failed.error_code == "record_lost"

    row = look(ask(world))
    [removal] = confirm(world, row)

    assert (reconciles.strays(row), removal.state, removal.deleted) == (67, RunState.SUCCEEDED, 67)
    assert world.served() == {}
    assert world.bookkeeping() == set()
    assert Source.objects.get().status == Source.Status.REMOVED


def test_fields_that_no_source_writes_are_told_and_go_only_if_chosen(world):
    world.sync()
    leave(world, *STRAYS, "person1@example.com", view="old_view")
    destination = world.source.destination
    other = f"{destination.workspace_id}:{destination.public_id}:account:domain:example.com"
    world.redis.hset(other, "by_domain", "{}")

    row = look(ask(world))

    assert (row.state, reconciles.to_remove(row), reconciles.unknown(row)) == (State.DONE, 0, 1)
    assert reconciles.unclaimed(row) == [(View("user", "email", "old_view"), 8)]

    again = look(ask(world, View("user", "email", "old_view")))
    [removal] = confirm(world, again)

    assert (reconciles.strays(again), removal.deleted) == (8, 8)
    assert world.redis.exists(other)
    world.redis.delete(other)
    assert world.served() == expected(PEOPLE)


def test_a_view_that_was_chosen_and_not_confirmed_leaves_no_source_behind(world):
    world.sync()
    leave(world, *STRAYS, view="old_view")
    row = look(ask(world, View("user", "email", "old_view")))
    assert Source.objects.count() == 2

    reconciles.cancel(row, by=world.by, now=timezone.now())
    tidied(row)

    assert Source.objects.count() == 1


def test_a_view_that_is_synced_again_before_the_hand_over_is_left_to_its_syncs(world):
    world.sync()
    leave(world, *STRAYS, view="old_view")
    row = look(ask(world, View("user", "email", "old_view")))
    Source.objects.filter(feature_view="old_view").update(status=Source.Status.RETIRED)

    assert confirm(world, row) == []
    assert row.state == State.DONE
    assert len(world.served()) == 67


def test_bookkeeping_of_sources_that_are_gone_is_removed(world):
    world.sync()
    destination = world.source.destination
    start = f"{destination.workspace_id}:{destination.public_id}:_activation:"
    gone = [f"{start}{{0}}:{'2' * 27}:{kind}" for kind in ("marker", "fence")]
    for key in (*gone, f"{start}probe:1"):
        world.redis.set(key, "1")

    row = look(ask(world))
    confirm(world, row)

    assert (row.state, reconciles.to_remove(row)) == (State.DONE, 0)
    assert world.redis.exists(*gone) == 0
    assert world.bookkeeping() == {"marker", "1"}
    assert AuditEvent.objects.get(action="reconcile_bookkeeping_removed").details["keys"] == 2


def test_an_id_type_whose_name_begins_with_anothers_does_not_lose_its_profiles(world):
    """The keys of `email:work` look like those of `email` with an id that begins with `work:`."""
    world.sync()
    source = world.source
    Source.objects.create(
        activation=source.activation,
        destination=source.destination,
        entity="user",
        id_type="email:work",
        feature_view=VIEW,
        relation=VIEW,
        id_column="email",
    )
    leave(world, "work:a@example.com", STRAYS[0])

    row = look(ask(world))
    confirm(world, row)

    assert (reconciles.strays(row), row.counts["shared"]) == (1, 1)
    assert set(world.served()) == {*(email for email, _ in PEOPLE), "work:a@example.com"}


def test_other_destinations_with_ids_that_look_like_patterns_are_not_looked_at(world):
    RedisDestination.objects.update(public_id="a*[b-c]?\\d")
    world.source.destination.refresh_from_db()
    world.sync()
    workspace = world.source.destination.workspace_id
    world.redis.hset(f"{workspace}:axxb?\\d:user:email:{STRAYS[0]}", VIEW, "{}")
    leave(world, STRAYS[1])

    row = look(ask(world))

    assert (row.counts["keys"], reconciles.strays(row)) == (61, 1)


def test_keys_of_other_types_and_ids_that_are_no_text_are_counted_and_left_alone(world):
    world.sync()
    world.redis.set(world.key("a string"), "x")
    world.redis.hset(world.key("").encode() + b"\xff", VIEW, "{}")

    row = look(ask(world))

    assert (row.state, row.counts["foreign"], row.counts["unreadable"]) == (State.DONE, 1, 1)


def test_a_look_goes_on_where_the_last_worker_let_go(world, monkeypatch):
    world.sync()
    leave(world, *(f"left{n}@example.com" for n in range(300)))
    row = ask(world)
    slices = 0
    while reconcile_looks.look(row.pk, now=timezone.now(), clock=iter(range(0, 10_000, 100)).__next__):
        slices += 1

    row.refresh_from_db()
    assert (row.state, reconciles.strays(row)) == (State.READY, 300)
    assert slices >= 1
    assert row.attempt == slices + 1


def test_a_worker_that_was_given_up_records_nothing(world, monkeypatch):
    world.sync()
    leave(world, *STRAYS)
    row = ask(world)
    pages = Walk.pages

    def given_up(*arguments):
        yield from pages(*arguments)
        Reconcile.objects.update(attempt=F("attempt") + 1)

    monkeypatch.setattr(Walk, "pages", given_up)
    assert not reconcile_looks.look(row.pk, now=timezone.now())

    row.refresh_from_db()
    assert (row.state, row.findings, row.positions) == (State.LOOKING, {}, {})


def test_a_worker_that_went_away_is_given_up_after_the_lease(world, settings):
    row = ask(world)
    Reconcile.objects.update(state=State.LOOKING, attempt=1, heartbeat_at=timezone.now())
    settings.SYNC_LEASE = -1

    reconcile_looks.put_back_stalled(now=timezone.now())

    row.refresh_from_db()
    assert (row.state, row.retries) == (State.QUEUED, 1)
    assert look(row).state == State.DONE


def test_a_redis_that_is_away_is_tried_again_and_then_said(world, server):
    row = ask(world)
    server.kill()

    for _ in range(20):
        Reconcile.objects.update(not_before=timezone.now())
        reconcile_looks.look(row.pk, now=timezone.now())

    row.refresh_from_db()
    assert (row.state, row.error_code, row.retries) == (State.FAILED, "unreachable", 8)


def test_a_preview_that_nobody_confirms_is_given_up_and_its_tables_go(world, settings):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    assert list(settings.SNAPSHOT_DIR.rglob("*_strays.duckdb"))

    reconcile_hand_overs.carry_on(now=timezone.now() + reconciles.PREVIEW_KEPT)
    row.refresh_from_db()
    tidied(row)

    assert row.state == State.CANCELLED
    assert not list(settings.SNAPSHOT_DIR.rglob("*_strays.duckdb"))


def test_a_sync_drops_no_table_of_a_look_that_is_open(world, settings):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))
    SyncRun.objects.filter(pk__lte=row.pk)
    world.sync()
    world.sync()

    assert confirm(world, row)[0].deleted == 7
    tidied(row)
    world.sync()
    assert not list(settings.SNAPSHOT_DIR.rglob("*_strays.duckdb"))


def test_only_the_numbers_that_were_seen_are_confirmed(world):
    world.sync()
    leave(world, *STRAYS)
    row = look(ask(world))

    with pytest.raises(reconciles.NotWaiting):
        reconciles.confirm(row, removing=6, by=world.by, now=timezone.now())
    reconciles.confirm(row, removing=7, by=world.by, now=timezone.now())
    with pytest.raises(reconciles.NotWaiting):
        reconciles.confirm(row, removing=7, by=world.by, now=timezone.now())
    assert AuditEvent.objects.get(action="reconcile_confirmed").details["profiles"] == 7


def test_one_look_at_a_time_and_by_admins_only(world, editor):
    with pytest.raises(PermissionRefused):
        reconciles.request(world.source.destination, by=editor.actor, now=timezone.now())
    ask(world)
    with pytest.raises(reconciles.AlreadyReconciling):
        ask(world)


def test_it_is_advised_after_adoption_and_after_a_lost_base(world, settings):
    destination = world.source.destination
    run = world.sync()
    assert reconciles.advice(destination) == ""

    [base] = settings.SNAPSHOT_DIR.rglob(f"{run.snapshot}.duckdb")
    base.unlink()
    world.sync()
    assert "gone from the warehouse" in reconciles.advice(destination)

    look(ask(world))
    assert reconciles.advice(destination) == ""
    Reconcile.objects.all().delete()
    SyncRun.objects.update(warnings=[])
    RedisDestination.objects.update(workspace_id="hosted")
    destination.refresh_from_db()
    assert "adopted" in reconciles.advice(destination)


def tidied(row: Reconcile) -> None:
    """Play the task that tidies up after a look that has ended."""
    assert row.pk in reconcile_hand_overs.waiting(now=timezone.now())
    reconcile_hand_overs.tidy(row.pk)
    assert row.pk not in reconcile_hand_overs.waiting(now=timezone.now())
