"""A preview tells what the next sync does, and does nothing itself."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import vault
from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import offers, preview_steps, preview_tables, previews, run_steps, syncs, tasks
from activation.engine import previews as engine
from activation.models import Activation, Preview, Source, SyncRun
from activation.run_resources import drop_left_overs
from activation.syncs import SourceRetired
from projects.warehouses.port import RelationMissing, WarehouseBusy
from tests.activation.world import World, expected

PEOPLE = [(f"person{n:03}@example.com", n) for n in range(120)]
State = Preview.State


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    return filled(PEOPLE, partition_rows=50)


def ask(world: World) -> Preview:
    source = Source.objects.select_related("activation").get(pk=world.source.pk)
    return previews.request(source, by=world.by, now=timezone.now())


def work(preview: Preview) -> Preview:
    previews.run(preview.pk, now=timezone.now() + timedelta(minutes=1))
    return Preview.objects.select_related("source").get(pk=preview.pk)


def look(world: World) -> Preview:
    return work(ask(world))


def counts(preview: Preview) -> tuple[int, ...]:
    return tuple(preview.result[name] for name in ("added", "changed", "removed", "unchanged"))


def besides(preview: Preview) -> tuple[int, ...]:
    return tuple(preview.result.get(name, 0) for name in ("written_again", "deleted_again"))


def tables(settings) -> set[str]:
    return {file.stem for file in settings.SNAPSHOT_DIR.rglob("*.duckdb") if "_s" in file.stem}


def test_before_the_first_sync_everything_would_be_added(world):
    preview = look(world)

    assert (preview.state, preview.error) == (State.DONE, "")
    assert counts(preview) == (120, 0, 0, 0)
    assert (preview.result["full_reason"], preview.result["base_rows"]) == ("first", None)
    assert not preview.result["guard_stops"]


def test_a_preview_says_what_the_next_sync_then_does(world):
    world.sync()
    world.put([("person000@example.com", 1000), *PEOPLE[1:110], ("new@example.com", None), (None, 5)])

    preview = look(world)
    run = world.sync()

    assert counts(preview) == (1, 1, 10, 109)
    assert (run.rows_planned, run.deletes_planned, run.unchanged) == (2, 10, 109)
    assert (preview.result["rows_in_view"], preview.result["null_ids"]) == (112, 1)
    assert (run.kind, preview.result["full_reason"]) == ("incremental", "")
    assert preview.result["columns"] == [{"name": "score", "rows": 1, "alone": 1, "counts": True}]
    assert {each["name"]: (each["before"], each["now"]) for each in preview.result["nulls"]}["score"] == (0, 1)


def test_nothing_is_written_to_redis_and_nothing_of_the_source_or_the_base_changes(world, settings):
    world.sync()
    world.put([("person000@example.com", 1000), *PEOPLE[1:60]])
    before = Source.objects.values().get(), tables(settings), world.served()
    world.redis.config_resetstat()

    preview = look(world)

    used = {name.removeprefix("cmdstat_").partition("|")[0] for name in world.redis.info("commandstats")}
    assert preview.state == State.DONE
    assert not used & {"set", "hset", "del", "hdel", "unlink", "eval", "evalsha", "script", "expire", "json.set"}
    assert (Source.objects.values().get(), tables(settings), world.served()) == before
    assert SyncRun.objects.count() == 1


def test_the_guard_and_new_columns_are_foreseen(world):
    world.sync()
    Activation.objects.update(guard_rows=10)
    world.put(PEOPLE[:60], extra=", 'pro' AS plan")

    preview = look(world)

    assert preview.result["guard_stops"]
    assert (preview.result["full_reason"], preview.result["new_columns"]) == ("columns_changed", ["plan"])
    assert counts(preview) == (0, 0, 60, 60)
    assert world.sync().error_code == "needs_confirmation"


def test_a_redis_that_is_away_is_said_and_does_without(world, server):
    world.sync()
    server.stop()

    preview = look(world)

    assert (preview.state, preview.result["destination_asked"], preview.result["full_reason"]) == (
        State.DONE,
        False,
        "",
    )


def test_a_column_that_changes_alone_in_every_row_is_offered_to_be_left_out(world):
    world.put(PEOPLE, extra=", 1 AS run_at")
    world.sync()
    world.put([("person000@example.com", 7), *PEOPLE[1:]], extra=", 2 AS run_at")

    found = previews.offer(look(world))
    assert found == offers.Offer("run_at", 99)
    Source.objects.update(ignored_columns=["run_at"])
    preview = look(world)

    assert previews.offer(preview) is None
    assert (counts(preview), preview.result["full_reason"]) == ((0, 1, 0, 119), "settings_changed")


def test_a_handful_of_changes_is_no_reason_to_leave_a_column_out(world):
    world.sync()
    world.put([(email, score + 1) for email, score in PEOPLE[:5]] + PEOPLE[5:])
    assert previews.offer(look(world)) is None


def test_a_column_that_changed_for_a_minority_is_not_offered_to_be_left_out(world):
    world.sync()
    world.put([(email, score + 1) for email, score in PEOPLE[:50]] + PEOPLE[50:])
    assert previews.offer(look(world)) is None


class TestDocuments:
    def test_are_encrypted_shown_to_who_may_see_them_and_that_is_written_down(self, world):
        world.sync()
        world.put([("person000@example.com", 1000), *PEOPLE[1:]])
        preview = look(world)

        assert "person000" not in preview.sample + str(preview.result)
        [first, *rest] = previews.documents(preview, by=world.by, now=timezone.now())

        document = expected([("person000@example.com", 1000)])["person000@example.com"]["features_by_email"]
        assert first.id == "person000@example.com"
        assert first.after == str(document).replace("'", '"').replace(": ", ":").replace(", ", ",")
        assert first.before == first.after.replace("1000", "0")
        assert len(rest) == 9
        assert AuditEvent.objects.get(action="preview_documents_seen").details["documents"] == 10

    def test_are_not_for_others(self, world, editor):
        preview = look(world)
        with pytest.raises(PermissionRefused):
            previews.documents(preview, by=editor.actor, now=timezone.now())

    def test_expire_after_a_day(self, world):
        preview = look(world)
        later = timezone.now() + timedelta(days=1, minutes=2)

        with pytest.raises(previews.SampleExpired):
            previews.documents(preview, by=world.by, now=later)
        previews.forget(now=later)
        assert Preview.objects.get().sample == ""
        previews.forget(now=later + timedelta(days=30))
        assert not Preview.objects.exists()


def test_what_earlier_syncs_left_out_of_step_is_said(world, settings):
    world.redis.set(world.key("person007@example.com"), "a string")
    world.sync()
    preview = look(world)
    assert preview.result["out_of_step"]
    assert besides(preview) == (1, 0)
    assert not [name for name in tables(settings) if "preview" in name]
    world.redis.delete(world.key("person007@example.com"))
    assert world.sync().rows_planned == 1
    preview = look(world)
    assert not preview.result["out_of_step"]
    assert besides(preview) == (0, 0)


def test_what_a_stopped_sync_may_have_written_is_counted_as_the_next_one_puts_it_right(world):
    world.sync()
    world.put([("person000@example.com", 1000), *PEOPLE[1:], ("gone@example.com", 1)])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    assert syncs.stop(world.again(run), by=world.by, now=timezone.now())
    world.put([PEOPLE[0], ("person001@example.com", 1001), *PEOPLE[2:119]])

    preview = look(world)
    run = world.sync()

    assert (counts(preview), besides(preview)) == ((0, 1, 1, 118), (1, 1))
    assert (run.kind, run.rows_planned, run.deletes_planned, run.unchanged) == ("incremental", 2, 2, 117)


def test_of_a_full_sync_nothing_is_counted_besides(world):
    world.redis.set(world.key("person007@example.com"), "a string")
    world.sync()
    world.put(PEOPLE, extra=", 1 AS plan")

    preview = look(world)

    assert (preview.result["full_reason"], besides(preview)) == ("columns_changed", (0, 0))


def test_the_tick_makes_good_a_wake_up_that_was_lost(world, monkeypatch):
    preview = ask(world)
    woken: list[int] = []
    monkeypatch.setattr(tasks.preview, "apply_async", lambda **sent: woken.append(sent["kwargs"]["preview_id"]))
    tasks.tick()
    assert woken == [preview.pk]
    tasks.preview(preview_id=preview.pk)
    assert Preview.objects.get().state == State.DONE


class TestAsking:
    def test_twice_is_asking_once(self, world):
        assert ask(world) == ask(world)
        assert AuditEvent.objects.filter(action="preview_requested").count() == 1

    def test_again_after_it_is_done_is_another_one(self, world):
        assert look(world) != look(world)

    def test_is_refused_where_nothing_is_synced(self, world, viewer):
        with pytest.raises(PermissionRefused):
            previews.request(world.source, by=viewer.actor, now=timezone.now())
        Source.objects.update(status=Source.Status.RETIRED)
        with pytest.raises(SourceRetired):
            ask(world)


class TestAWorkerThatFails:
    def test_says_why_and_quotes_no_data(self, world, monkeypatch):
        monkeypatch.setattr(preview_steps, "look", raising(KeyError("person1@example.com")))
        preview = look(world)
        assert (preview.state, preview.error_code) == (State.FAILED, "internal")
        assert "person1" not in preview.error

    def test_of_a_fault_that_passes_tries_again_three_times(self, world, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(preview_steps, "look", raising(WarehouseBusy("A lock.")))
            preview = look(world)
            assert (preview.state, preview.error) == (State.QUEUED, "A lock.")
        assert work(preview).state == State.DONE
        monkeypatch.setattr(preview_steps, "look", raising(WarehouseBusy("A lock.")))
        preview = ask(world)
        for _ in range(3):
            preview = work(preview)
        assert (preview.state, preview.attempt) == (State.FAILED, 3)

    def test_because_a_sync_replaced_the_base_tries_again(self, world, monkeypatch):
        def lost(*_: object) -> None:
            Source.objects.update(base_snapshot="another")
            raise RelationMissing("There is no such table.")

        monkeypatch.setattr(preview_steps, "look", lost)
        assert look(world).state == State.QUEUED

    def test_for_good_is_followed_by_another(self, world, settings):
        preview = ask(world)
        assert previews.waiting(now=timezone.now()) == [preview.pk]
        Preview.objects.update(state=State.RUNNING, attempt=1, heartbeat_at=timezone.now())
        assert previews.waiting(now=timezone.now()) == []
        Preview.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 1))
        assert previews.waiting(now=timezone.now()) == [preview.pk]
        assert work(preview).attempt == 2

    def test_for_good_three_times_gives_up(self, world, settings):
        ask(world)
        long_ago = timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 1)
        Preview.objects.update(state=State.RUNNING, attempt=3, heartbeat_at=long_ago)
        assert previews.waiting(now=timezone.now()) == []
        assert Preview.objects.get().state == State.FAILED


class TestTables:
    def test_of_a_killed_preview_go_with_the_next_run_or_preview(self, world, settings, monkeypatch):
        for again in (world.sync, lambda: look(world)):
            killed(ask(world), monkeypatch)
            [left] = [name for name in tables(settings) if name.endswith("_preview")]
            Preview.objects.update(state=State.FAILED)
            again()
            assert left not in tables(settings)
            assert not [name for name in tables(settings) if "_preview" in name]

    def test_of_a_preview_that_runs_are_not_touched_by_a_run(self, world, settings, monkeypatch):
        preview = ask(world)
        killed(preview, monkeypatch)
        world.sync()
        assert len([name for name in tables(settings) if name.endswith("_preview")]) == 1

        drop_left_overs(world.sync())
        assert len([name for name in tables(settings) if name.endswith("_preview")]) == 1

    def test_of_runs_are_not_touched_by_a_preview(self, world, settings):
        world.sync()
        before = tables(settings)
        look(world)
        assert tables(settings) == before

    def test_have_names_that_are_no_runs(self, world):
        preview = ask(world)
        name = preview_tables.name(preview, "ids")
        assert name.endswith(f"_s{world.source.pk}_r{preview.pk}_a0_previewids")
        assert preview_tables.left_over(world.source.pk, [name, name.replace("previewids", "snapshot")]) == [name]


def raising(error: BaseException):
    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


def killed(preview: Preview, monkeypatch) -> None:
    """Let a worker take the preview and die after the snapshot: nobody tidies up, and the row says that it runs."""
    with monkeypatch.context() as patched:
        patched.setattr(engine, "compare", raising(KeyboardInterrupt()))
        patched.setattr(preview_steps, "_drop", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            previews.run(preview.pk, now=timezone.now())


def test_the_documents_are_readable_with_the_keys_only(world):
    preview = look(world)
    assert "person000" in vault.decrypt(preview.sample)


class TestAnIncrementalSync:
    def test_that_wrote_all_for_one_column_offers_to_leave_it_out(self, world, settings):
        world.put(PEOPLE, extra=", 1 AS run_at")
        world.sync()
        world.put([("person000@example.com", 7), *PEOPLE[1:], ("new@example.com", 1)], extra=", 2 AS run_at")

        run = world.sync()

        assert (run.kind, run.written) == ("incremental", 121)
        assert run.offer["column"] == "run_at"
        assert 95 <= run.offer["percent"] <= 100
        assert not [name for name in tables(settings) if "offer" in name]
        Source.objects.update(ignored_columns=["run_at"])
        assert offers.of_run(world.again(run)) is None

    def test_that_wrote_little_or_differs_in_more_offers_nothing(self, world):
        world.put(PEOPLE, extra=", 1 AS run_at")
        world.sync()
        world.put(PEOPLE[:-20] + [(email, score + 1) for email, score in PEOPLE[-20:]], extra=", 1 AS run_at")
        assert world.sync().offer == {}
        world.put([(email, score + 2) for email, score in PEOPLE], extra=", 2 AS run_at")
        assert world.sync().offer == {}

    def test_succeeds_though_that_could_not_be_looked_for(self, world, monkeypatch):
        world.sync()
        world.put([(email, score + 1) for email, score in PEOPLE])
        monkeypatch.setattr(engine, "compare_part", raising(KeyError("person1@example.com")))

        run = world.sync()

        assert (run.state, run.offer) == ("succeeded", {})
