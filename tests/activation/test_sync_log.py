"""The sync log of a project: what is asked for, kept as long as asked for, and never at a sync's expense."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import vault
from accounts.models import AuditEvent
from activation import enabling, sync_log
from activation.engine import sync_logs
from activation.models import Activation, Installation, RunState, Source, SyncLogContent, SyncRun
from activation.run_resources import table_name, warehouse_of
from config.embedded import EmbeddedServer
from projects.warehouses.port import WarehouseUnreachable
from tests.activation.world import World, build
from tests.cast import Member

PEOPLE = [("ada@x.example", 1), ("bob@x.example", 2)]
Rows = list[tuple[object, ...]]


@pytest.fixture
def world(admin: Member, redis_server: EmbeddedServer, settings, tmp_path, transactional_db) -> Iterator[World]:
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, redis_server)
    world.put(PEOPLE)
    Activation.objects.update(sync_log=SyncLogContent.EVERYTHING)
    yield world
    world.redis.flushall()
    world.redis.close()


@pytest.fixture
def logged(world: World) -> Callable[[], Rows]:
    """Read all of the log: (run, id, operation, status, reason)."""

    def read() -> Rows:
        rows: Rows = []
        with warehouse_of(Source.objects.get()) as warehouse:
            for name in warehouse.tables(sync_logs.log_name(Installation.own_code())):
                rows += warehouse.fetch(
                    "SELECT sync_run_id, primary_key, operation, status, error_reason "
                    f"FROM {warehouse.dialect.snapshot(name)} ORDER BY 2",
                    uses=[name],
                )
        return rows

    return read


def with_deletes(world: World, run: SyncRun, *ids: str) -> SyncRun:
    """Give a finished run a table of deletes, as it has one until it is tidied up."""
    run.deletes_table, run.deletes_planned = table_name(run, "deletes"), len(ids)
    with warehouse_of(run.source) as warehouse:
        warehouse.put_ids(run.deletes_table, ids)
    return run


def test_a_first_sync_is_logged_as_inserts(world, logged):
    run = world.sync()
    assert run.warnings == []
    assert logged() == [(run.public_id, email, "insert", "succeeded", None) for email, _ in PEOPLE]


def test_an_incremental_sync_is_logged_as_what_it_did(world, logged):
    world.sync()
    world.put([("ada@x.example", 9), ("cleo@x.example", 3)])
    run = world.sync()
    assert (run.kind, run.warnings) == (SyncRun.Kind.INCREMENTAL, [])
    assert [row[1:] for row in logged() if row[0] == run.public_id] == [
        ("ada@x.example", "update", "succeeded", None),
        ("bob@x.example", "delete", "succeeded", None),
        ("cleo@x.example", "insert", "succeeded", None),
    ]


@pytest.mark.parametrize("content", [SyncLogContent.EVERYTHING, SyncLogContent.CHANGES])
def test_a_removal_is_logged_as_a_delete_of_each(world, logged, content):
    Activation.objects.update(sync_log=content)
    world.sync()
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    run = world.work(SyncRun.objects.get(kind="removal"))
    assert (run.state, run.warnings) == (RunState.SUCCEEDED, [])
    deletes = [(run.public_id, email, "delete", "succeeded", None) for email, _ in PEOPLE]
    assert [row for row in logged() if row[0] == run.public_id] == deletes


def test_deletes_and_failures_are_logged_unless_somebody_wants_more_or_less(world, logged):
    Activation.objects.update(sync_log=SyncLogContent.CHANGES)
    people = [(f"person{number:03}@x.example", number) for number in range(200)]
    world.put(people)
    world.redis.set(world.key("person007@x.example"), "of somebody else")
    first = world.sync()
    assert first.failed == 1
    world.redis.delete(world.key("person007@x.example"))
    world.put(people[:-1])
    second = world.sync()

    assert logged() == [
        (first.public_id, "person007@x.example", "insert", "failed", "wrong_type"),
        (second.public_id, "person199@x.example", "delete", "succeeded", None),
    ]


def test_failed_ids_are_logged_with_their_reason_and_leave_no_table_behind(world, logged):
    Activation.objects.update(sync_log=SyncLogContent.CHANGES)
    run = with_deletes(world, world.sync(), "old@x.example", "stuck@x.example")
    for email, reason in (("ada@x.example", "too_large"), ("stuck@x.example", "wrong_type")):
        run.failed_ids.create(source=run.source, reason=reason, encrypted_id=vault.encrypt(email))
    run.failed = 2

    sync_log.write(run, now=timezone.now())

    assert [row[1:] for row in logged()] == [
        ("ada@x.example", "insert", "failed", "too_large"),
        ("old@x.example", "delete", "succeeded", None),
        ("stuck@x.example", "delete", "failed", "wrong_type"),
    ]
    with warehouse_of(run.source) as warehouse:
        left = [name for name in warehouse.tables("activation_") if "_log" in name and "_sync_log_" not in name]
    assert left == []


def test_a_base_that_was_lost_makes_inserts_of_what_was_written(world, logged):
    run = world.sync()
    with warehouse_of(run.source) as warehouse:
        for name in warehouse.tables(sync_logs.log_name(Installation.own_code())):
            warehouse.drop(name)
    run.base_snapshot = table_name(run, "lost")
    sync_log.write(run, now=timezone.now())
    assert [row[1:4] for row in logged()] == [(email, "insert", "succeeded") for email, _ in PEOPLE]


@pytest.mark.parametrize("content", [SyncLogContent.OFF, SyncLogContent.CHANGES])
def test_a_run_with_nothing_to_log_does_not_ask_the_warehouse(world, monkeypatch, content):
    Activation.objects.update(sync_log=content, sync_log_tidied_at=timezone.now())
    run = world.sync()
    monkeypatch.setattr(sync_log, "warehouse_of", lambda _: 1 / 0)
    sync_log.write(SyncRun.objects.select_related("source__activation").get(pk=run.pk), now=timezone.now())
    assert SyncRun.objects.get().warnings == []


def test_a_log_that_cannot_be_written_is_a_warning_on_a_run_that_succeeded(world, logged, monkeypatch):
    def broken(*_: object, **__: object) -> int:
        raise WarehouseUnreachable("The warehouse is away.")

    monkeypatch.setattr(sync_logs, "append", broken)
    run = world.sync()
    assert (run.state, run.warnings) == (RunState.SUCCEEDED, ["sync_log_not_written"])
    monkeypatch.undo()
    assert logged() == []


def test_rows_older_than_the_days_that_were_chosen_are_forgotten_once_a_day(world, logged):
    world.sync()
    run = SyncRun.objects.select_related("source__activation").get()
    later = timezone.now() + timedelta(days=31)
    run.rows_planned = 0

    sync_log.write(run, now=timezone.now() + timedelta(hours=23))
    assert len(logged()) == 2
    sync_log.write(run, now=later - timedelta(days=2))
    assert len(logged()) == 2, "29 days old"
    sync_log.write(run, now=later)
    assert logged() == []


def test_only_admins_change_what_is_logged(world, admin, editor):
    page = reverse("activation:sync_log", args=["acme", "customers"])
    assert editor.client.post(page, {"content": "off", "days": 7}).status_code == 403
    shown = editor.client.get(page).content.decode()
    assert "Save" not in shown
    assert sync_logs.log_name(Installation.own_code()) in shown

    assert admin.client.post(page, {"content": "off", "days": 0}).status_code == 422
    assert admin.client.post(page, {"content": "off", "days": 7}).status_code == 303
    activation = Activation.objects.get()
    assert (activation.sync_log, activation.sync_log_days) == ("off", 7)
    assert AuditEvent.objects.get(action="sync_log_changed").details == {"content": "off", "days": 7}


def test_before_the_sync_is_turned_on_there_is_no_log_to_set_up(world, admin):
    Source.objects.all().delete()
    Activation.objects.all().delete()
    page = reverse("activation:sync_log", args=["acme", "customers"])
    assert admin.client.get(page).status_code == 303
