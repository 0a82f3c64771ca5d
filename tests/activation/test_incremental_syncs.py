"""What a sync writes when little changed, and what makes it write everything."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from activation import dirty_ids, guard, partitions, recovery, run_steps, syncs
from activation.models import Activation, DirtyId, GuardChoice, RunState, Source, SyncPartition, SyncRun
from tests.activation.world import World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(120)]


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=50)


def test_the_first_sync_is_full_and_the_next_writes_only_what_changed(world):
    first = world.sync()
    world.put([("person0@example.com", 1000), *PEOPLE[1:], ("new@example.com", 1)])

    second = world.sync()

    assert (first.kind, first.full_reason, first.written) == ("full", "first", 120)
    assert (second.kind, second.full_reason) == ("incremental", "")
    assert (second.written, second.unchanged, second.rows_planned) == (2, 119, 2)
    assert world.served() == expected([("person0@example.com", 1000), *PEOPLE[1:], ("new@example.com", 1)])


def test_a_sync_without_changes_writes_nothing_but_its_bookkeeping(world):
    world.sync()
    before = world.redis.info("commandstats")["cmdstat_hset"]["calls"]

    run = world.sync()

    after = world.redis.info("commandstats")["cmdstat_hset"]["calls"]
    assert (run.state, run.written, run.deleted, run.partitions.count()) == (RunState.SUCCEEDED, 0, 0, 0)
    assert after == before
    assert world.bookkeeping() == {"marker"}


def test_columns_left_out_of_the_comparison_cost_no_write(world):
    world.put(PEOPLE, extra=", 1 AS run_at")
    Source.objects.update(ignored_columns=["run_at"])
    world.sync()
    world.put(PEOPLE[:1] + PEOPLE[1:], extra=", 2 AS run_at")

    assert world.sync().written == 0
    world.put([("person0@example.com", 7), *PEOPLE[1:]], extra=", 3 AS run_at")

    assert world.sync().written == 1
    assert world.served()["person0@example.com"]["features_by_email"]["run_at"] == 3


def test_a_new_column_makes_the_next_sync_full(world):
    world.sync()
    world.put(PEOPLE, extra=", 'pro' AS plan")

    run = world.sync()

    assert (run.kind, run.full_reason, run.written) == ("full", "columns_changed", 120)


@pytest.mark.parametrize("change", [{"ignored_columns": ["score"]}, {"normalisation": ["trim"]}])
def test_other_settings_make_the_next_sync_full(world, change):
    world.sync()
    Source.objects.update(**change)

    run = world.sync()

    assert (run.kind, run.full_reason) == ("full", "settings_changed")


def test_a_flushed_destination_is_filled_again_without_being_told(world):
    world.sync()
    world.redis.flushall()

    run = world.sync()

    assert (run.kind, run.full_reason) == ("full", "destination_lost_data")
    assert world.served() == expected(PEOPLE)


def test_a_lost_base_makes_the_next_sync_full_and_advises_to_reconcile(world, settings):
    run = world.sync()
    [base] = settings.SNAPSHOT_DIR.rglob(f"{run.snapshot}.duckdb")
    base.unlink()

    run = world.sync()

    assert (run.kind, run.full_reason, run.warnings) == ("full", "base_lost", ["reconcile_advised"])


@pytest.mark.parametrize("reason", ["view_moved", "requested", "first"])
def test_names_that_are_lost_are_told_of_whatever_else_makes_a_sync_full(world, settings, reason):
    if reason == "first":
        fail_after_loading(world)
    else:
        world.sync()
    Source.objects.update(full_next=reason if reason == "view_moved" else "")
    for file in settings.SNAPSHOT_DIR.rglob("*.duckdb"):
        file.unlink()

    run = world.start()
    if reason == "requested":
        SyncRun.objects.filter(pk=run.pk).update(kind="full", full_reason=reason)
    run = world.work(run)

    assert (run.kind, run.full_reason, run.warnings) == ("full", reason, ["reconcile_advised"])


def test_ids_that_are_too_many_to_list_lose_no_names(world, monkeypatch):
    world.sync()
    source = Source.objects.get()
    named = [(source.entity, source.id_type, email) for email, _ in PEOPLE[:2]]
    dirty_ids.add_profiles(source.destination_id, named, reason=DirtyId.Reason.LIFTED, now=timezone.now())
    monkeypatch.setattr(dirty_ids, "MOST_LISTED", 1)

    run = world.sync()

    assert (run.kind, run.full_reason, run.warnings) == ("full", "record_lost", [])
    assert world.served() == expected(PEOPLE)


def test_a_base_with_another_row_count_is_no_base(world):
    world.sync()
    Source.objects.update(base_rows=119)

    assert world.sync().full_reason == "base_lost"


def test_what_a_failed_run_wrote_is_put_right_by_the_next(world):
    """The failed run wrote new values and new people; the view has neither any more when the next one looks."""
    world.sync()
    changed = [(email, score + 5000) for email, score in PEOPLE[:60]]
    world.put([*changed, *PEOPLE[60:], ("ghost@example.com", 1)])
    fail_after_loading(world)
    assert world.served() != expected(PEOPLE)

    world.put(PEOPLE)
    run = world.sync()

    assert (run.kind, run.written, run.deleted) == ("incremental", 60, 1)
    assert world.served() == expected(PEOPLE)


def test_what_a_failed_full_run_wrote_is_put_right_by_the_next(world):
    world.put([*PEOPLE, ("ghost@example.com", 1)])
    fail_after_loading(world)

    world.put(PEOPLE)
    run = world.sync()

    assert (run.kind, run.deleted) == ("full", 1)
    assert world.served() == expected(PEOPLE)


def test_failed_runs_one_after_the_other_lose_nothing(world):
    world.sync()
    for n in range(3):
        world.put([*PEOPLE, (f"ghost{n}@example.com", n)])
        fail_after_loading(world)

    world.put(PEOPLE)
    world.sync()

    assert world.served() == expected(PEOPLE)


def test_a_row_that_redis_refused_is_tried_again_though_it_did_not_change(world):
    world.redis.set(world.key("person7@example.com"), "a string")
    first = world.sync()
    assert (first.state, first.failed) == (RunState.SUCCEEDED, 1)
    assert "person7" not in DirtyId.objects.get().encrypted_id
    world.redis.delete(world.key("person7@example.com"))

    second = world.sync()

    assert (second.kind, second.written) == ("incremental", 1)
    assert world.served() == expected(PEOPLE)
    assert not DirtyId.objects.exists()


def test_more_failures_than_are_listed_make_the_next_sync_full(world):
    run = world.sync()
    dirty_ids.add_failed(run, [], too_many=True, now=timezone.now())

    assert world.sync().full_reason == "too_many_failures"
    assert world.sync().kind == "incremental"


def test_deleted_people_are_deleted_again_by_a_forced_full_run_for_a_restored_backup_brings_them_back(world):
    world.sync()
    world.put(PEOPLE[1:])
    world.sync()
    world.redis.hset(world.key("person0@example.com"), "features_by_email", '{"from":"backup"}')
    world.sync()
    assert "person0@example.com" in world.served()
    Source.objects.update(full_next="view_moved")

    world.sync()

    assert world.served() == expected(PEOPLE[1:])


def test_tombstones_of_a_day_are_merged(world, settings):
    world.sync()
    for n in range(1, 12):
        world.put(PEOPLE[n:])
        world.sync()
    source = Source.objects.get()

    assert len(source.tombstones) < 10
    left = {file.stem for file in settings.SNAPSHOT_DIR.rglob("*_s*_r*_a*.duckdb")}
    assert left == {source.base_snapshot, *(kept["table"] for kept in source.tombstones)}


def full(world) -> SyncRun:
    """Ask for a full sync."""
    source = Source.objects.select_related("activation").get()
    return syncs.start(source, trigger=SyncRun.Trigger.PERSON, by=world.by, now=timezone.now(), full=True)


def test_the_guard_stops_a_run_that_would_delete_too_much_and_lets_a_confirmed_one_pass(world):
    Activation.objects.update(guard_rows=10)
    world.sync()
    world.put(PEOPLE[:60])

    stopped = world.sync()

    assert (stopped.state, stopped.error_code, stopped.deletes_planned) == (RunState.FAILED, "needs_confirmation", 60)
    assert world.served() == expected(PEOPLE)
    run = guard.confirm(stopped, choice=GuardChoice.DELETE, by=world.by, now=timezone.now())
    assert world.work(run).deleted == 60
    assert world.served() == expected(PEOPLE[:60])
    assert Source.objects.get().confirmed_choice == ""


def test_a_confirmation_does_not_let_more_deletes_pass_than_were_seen(world):
    Activation.objects.update(guard_rows=10)
    world.sync()
    world.put(PEOPLE[:60])
    stopped = world.sync()
    world.put(PEOPLE[:50])

    run = world.work(guard.confirm(stopped, choice=GuardChoice.DELETE, by=world.by, now=timezone.now()))

    assert (run.state, run.error_code) == (RunState.FAILED, "needs_confirmation")
    assert world.served() == expected(PEOPLE)
    with pytest.raises(guard.NothingToConfirm):
        guard.confirm(stopped, choice=GuardChoice.DELETE, by=world.by, now=timezone.now())


def test_a_confirmation_of_a_full_sync_is_for_what_it_showed_and_not_for_whom_earlier_syncs_deleted(world):
    Activation.objects.update(guard_rows=10)
    world.sync()
    world.put(PEOPLE[:100])
    assert world.sync().deleted == 20  # a full sync deletes them again
    world.put(PEOPLE[:60])

    stopped = world.work(full(world))

    assert (stopped.error_code, stopped.deletes_planned) == ("needs_confirmation", 40)
    assert stopped.error.startswith("This sync would delete 40 of 100 profiles")
    world.put(PEOPLE[:45])
    run = world.work(guard.confirm(stopped, choice=GuardChoice.DELETE, by=world.by, now=timezone.now()))
    assert (run.error_code, run.deletes_planned) == ("needs_confirmation", 55)
    assert world.served() == expected(PEOPLE[:100])


@pytest.mark.parametrize(("choice", "left"), [(GuardChoice.DELETE, 60), (GuardChoice.KEEP, 120)])
def test_a_full_sync_that_somebody_asked_for_is_full_once_it_is_confirmed(world, choice, left):
    Activation.objects.update(guard_rows=10)
    world.sync()
    world.redis.hset(world.key("person0@example.com"), "features_by_email", '{"changed":"by hand"}')
    world.put(PEOPLE[:60])

    stopped = world.work(full(world))
    run = world.work(guard.confirm(stopped, choice=choice, by=world.by, now=timezone.now()))

    assert (run.state, run.kind, run.full_reason) == (RunState.SUCCEEDED, SyncRun.Kind.FULL, "requested")
    assert world.served() == expected(PEOPLE[:left])


def test_an_admin_can_have_the_rest_applied_without_the_deletes(world):
    Activation.objects.update(guard_rows=10)
    world.sync()
    world.put([("person0@example.com", 7), *PEOPLE[1:60]])
    stopped = world.sync()

    run = world.work(guard.confirm(stopped, choice=GuardChoice.KEEP, by=world.by, now=timezone.now()))

    assert (run.state, run.written, run.deleted, run.kept_rows) == (RunState.SUCCEEDED, 1, 0, 60)
    assert world.served() == expected([("person0@example.com", 7), *PEOPLE[1:]])
    assert world.sync().error_code == "needs_confirmation"


def test_an_empty_view_never_empties_redis_unasked(world):
    world.put(PEOPLE[:3])
    world.sync()
    world.put([])

    assert world.sync().error_code == "needs_confirmation"
    assert world.served() == expected(PEOPLE[:3])


def test_the_fences_of_a_failed_run_are_closed(world):
    world.sync()
    world.put([*PEOPLE, ("new@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.FAILED)

    recovery.close_left_fences(now=timezone.now())

    assert not world.again(run).fences_open
    fence = next(key for key in world.redis.scan_iter("*:fence"))
    assert {value.rsplit(b":", 1)[1] for value in world.redis.hvals(fence)} == {b"closed"}


def fail_after_loading(world: World) -> None:
    """Run a sync that writes everything and then fails."""
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for partition in SyncPartition.objects.filter(run=run):
        run_steps.load_partition(partition.pk, now=timezone.now())
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.FAILED)


def test_a_full_sync_warns_when_the_profiles_are_expected_not_to_fit(world):
    world.redis.config_set("maxmemory-policy", "noeviction")
    world.redis.config_set("maxmemory", world.redis.info("memory")["used_memory"] + 20_000)

    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())

    assert world.again(run).warnings == ["memory_short"]
    world.redis.config_set("maxmemory", world.redis.info("memory")["used_memory"] + 10_000_000)
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.sync().warnings == []


def test_a_destination_that_evicted_keys_is_filled_again(world):
    world.sync()
    source = Source.objects.get()
    Source.objects.update(base_evictions=dict.fromkeys(source.base_evictions, -1))

    assert world.sync().full_reason == "evicted"


def test_the_limit_of_rows_is_shared_by_what_loads_into_the_destination(world):
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    assert partitions.loading_into(world.source.destination_id) == 1
    for waiting in SyncPartition.objects.filter(run=run)[:2]:
        partitions.claim(waiting.pk, now=timezone.now())

    assert partitions.loading_into(world.source.destination_id) == 2


def test_what_a_stopped_sync_was_loading_takes_no_share_of_the_limit_any_more(world):
    stopped = world.start()
    run_steps.take_snapshot(stopped.pk, now=timezone.now())
    for waiting in SyncPartition.objects.filter(run=stopped):
        partitions.claim(waiting.pk, now=timezone.now())

    syncs.stop(stopped, by=world.by, now=timezone.now())

    assert partitions.loading_into(world.source.destination_id) == 1
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    for waiting in SyncPartition.objects.filter(run=run)[:2]:
        partitions.claim(waiting.pk, now=timezone.now())
    assert partitions.loading_into(world.source.destination_id) == 2


def test_a_few_bad_rows_among_few_changes_are_counted_by_every_sync_and_fail_none(world):
    world.sync()
    world.redis.delete(world.key("person3@example.com"))
    world.redis.set(world.key("person3@example.com"), "a string")
    changed = [(email, score + (1000 if score == 3 else 0)) for email, score in PEOPLE]
    world.put(changed)

    runs = [world.sync(), world.sync()]

    assert [(run.state, run.written, run.failed) for run in runs] == [(RunState.SUCCEEDED, 0, 1)] * 2
    world.redis.delete(world.key("person3@example.com"))
    assert world.sync().written == 1
    assert world.served() == expected(changed)


def test_a_run_that_fails_because_of_its_rows_keeps_their_reasons(world):
    for email, _ in PEOPLE:
        world.redis.set(world.key(email), "a string")

    run = world.sync()

    assert (run.state, run.error_code) == (RunState.FAILED, "too_many_row_faults")
    first = run.partitions.exclude(failures={}).get()
    assert first.failures == {"wrong_type": first.failed}


def test_the_partitions_together_bear_one_refused_row_in_a_hundred(world, settings):
    settings.PARTITION_ROWS = 2_500
    people = [(f"person{n:05}@example.com", n) for n in range(10_000)]
    bad = [email for email, _ in people[50::100]] + ["person09999@example.com"]
    world.put(people)
    world.redis.mset({world.key(email): "a string" for email in bad})

    failed = world.sync()

    assert (failed.state, failed.error_code) == (RunState.FAILED, "too_many_row_faults")
    refused = [part.failed for part in failed.partitions.all()]
    assert (len(refused), sum(refused), max(refused) < 100) == (4, 101, True)
    assert world.again(failed).source.base_run is None
    world.redis.delete(world.key(bad.pop()))
    run = world.sync()
    assert (run.state, run.written, run.failed) == (RunState.SUCCEEDED, 9_900, 100)
    world.redis.delete(*map(world.key, bad))
    assert world.sync().written == 100
    assert world.served() == expected(people)
