"""What a sync works with may change while it loads: it ends with what it began with, or starts over, and never breaks."""

from collections.abc import Callable

import duckdb
import pytest
from django.utils import timezone

from activation import (
    cures,
    destinations,
    enabling,
    guard,
    partitions,
    run_snapshots,
    run_states,
    run_steps,
    source_settings,
    sync_log,
)
from activation.models import Activation, RunState, Source, SyncLogContent, SyncRun
from projects import pb_project, placements, projects
from projects.models import Project, Warehouse
from projects.specification import to_plain
from tests.activation.world import VIEW, World, expected

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]
SPECIFICATION = f"""
name: customers
schema_version: 72
connection: warehouse
model_folders: [models]
entities:
  - name: user
    id_types: [user_main, email]
    feature_views:
      using_ids:
        - id: email
          name: {VIEW}
id_types:
  - name: email
  - name: user_main
"""


@pytest.fixture
def world(filled: Callable[..., World]) -> World:
    world = filled(PEOPLE, partition_rows=10)
    Project.objects.update(specification=to_plain(pb_project.read(SPECIFICATION)), specification_text=SPECIFICATION)
    look_up()
    return world


def look_up() -> Project:
    """Find the project's views, and have the sources be what they are now."""
    project = Project.objects.get()
    projects.look_up_placements(project)
    enabling.follow_specifications(now=timezone.now())
    return project


def half_loaded(world: World) -> SyncRun:
    """Start a sync, take its snapshot and load the first of its three partitions."""
    run = world.start()
    assert run_steps.take_snapshot(run.pk, now=timezone.now())
    first = run.partitions.order_by("number")[0]
    assert run_steps.load_partition(first.pk, now=timezone.now()) == run.pk
    return run


def column_chosen(world: World, name: str) -> None:
    """Choose the column that holds the id, as under *Entities*."""
    project = look_up()
    placements.choose(project, VIEW, relation="", id_column=name, by=world.by, now=timezone.now())
    enabling.follow_specifications(now=timezone.now())


def another_column(world: World) -> None:
    column_chosen(world, "user_main_id")


def new_column(world: World) -> None:
    world.put(PEOPLE, extra=", email AS mail")
    column_chosen(world, "mail")


def another_view(world: World) -> None:
    """Have the project's view be another one."""
    with world.owner() as owner:
        owner.execute(f"CREATE VIEW profiles.elsewhere AS SELECT email, 7 AS seven FROM profiles.{VIEW}")
    project = look_up()
    placements.choose(project, VIEW, relation="elsewhere", id_column="", by=world.by, now=timezone.now())
    look_up()


def another_schema(world: World) -> None:
    with world.owner() as owner:
        owner.execute("CREATE SCHEMA other")
        owner.execute(f"CREATE VIEW other.{VIEW} AS SELECT * FROM profiles.{VIEW}")
    project = Project.objects.select_related("warehouse").get()
    projects.move(project, warehouse=project.warehouse, output_schema="other", by=world.by, now=timezone.now())
    look_up()


def other_ids_and_comparison(world: World) -> None:
    steps = ["trim", "lower"]
    source_settings.configure(world.source, ignored_columns=[], normalisation=steps, by=world.by, now=timezone.now())
    Source.objects.update(ignored_columns=["score"])  # offered on the page once a first sync has ended


def other_settings(world: World) -> None:
    """Change what says how much is written, deleted and kept."""
    activation, now = Activation.objects.select_related("project").get(), timezone.now()
    destination = world.source.destination
    guard.configure(activation, percent=1, rows=1, by=world.by, now=now)
    sync_log.configure(activation, content=SyncLogContent.OFF, days=1, by=world.by, now=now)
    Activation.objects.update(keep_snapshots=3)
    destinations.limit_pace(destination, rows_per_second=1_000_000, by=world.by, now=now)
    destinations.rename(destination, name="Another name", by=world.by, now=now)
    credentials = destinations.credentials_of(destination)
    destinations.update_credentials(destination, credentials=credentials, by=world.by, now=now)
    projects.rename(Project.objects.get(), name="Another", by=world.by, now=now)


def id_type_gone(world: World) -> None:
    text = SPECIFICATION.replace("id: email", "id: user_main").replace(VIEW, "by_user_main")
    project = Project.objects.get()
    revision = project.specification_revision
    projects.edit_specification(project, text=text, revision=revision, by=world.by, now=timezone.now())
    look_up()
    assert Source.objects.get(pk=world.source.pk).status == Source.Status.RETIRED


@pytest.mark.parametrize(
    ("change", "next_one", "ids"),
    [
        (another_column, ("full", "view_moved"), "m-{}"),
        (new_column, ("full", "view_moved"), "{}"),
        (another_view, ("full", "view_moved"), "{}"),
        (another_schema, ("full", "settings_changed"), "{}"),
        (other_ids_and_comparison, ("full", "settings_changed"), "{}"),
        (other_settings, ("incremental", ""), "{}"),
        (id_type_gone, None, "{}"),
    ],
)
def test_a_change_during_a_load_is_for_the_next_sync(world, change: Callable[[World], None], next_one, ids):
    run = half_loaded(world)

    change(world)

    assert (world.work(run).error, world.again(run).state) == ("", RunState.SUCCEEDED)
    assert (world.again(run).attempt, world.served()) == (1, expected(PEOPLE))
    if next_one:
        following = world.sync()
        assert (following.state, following.kind, following.full_reason) == (RunState.SUCCEEDED, *next_one)
        assert world.served().keys() == {ids.format(email) for email, _ in PEOPLE}
        assert world.sync().written == 0


def test_a_project_that_moves_to_another_warehouse_during_a_load_is_loaded_from_there(world):
    run = half_loaded(world)
    warehouse = Warehouse.objects.get()
    file = world.file.with_name("another.duckdb")
    with duckdb.connect(file) as owner:
        owner.execute("CREATE SCHEMA profiles")
        owner.execute(f"CREATE TABLE profiles.{VIEW} (user_main_id VARCHAR, email VARCHAR, score INTEGER)")
        owner.executemany(f"INSERT INTO profiles.{VIEW} VALUES (?, ?, ?)", [(f"m-{e}", e, -s) for e, s in PEOPLE])
    another = Warehouse.objects.create(
        organisation=warehouse.organisation, name="Another", kind=warehouse.kind, settings={"file": file.name}
    )
    projects.move(Project.objects.get(), warehouse=another, output_schema="profiles", by=world.by, now=timezone.now())

    world.work(run, rounds=1)
    assert (run_of(run).state, run_of(run).error_code) == (RunState.QUEUED, "snapshot_lost")
    assert "pointed elsewhere" in run_of(run).error

    assert world.work(run).state == RunState.SUCCEEDED
    assert (run_of(run).attempt, run_of(run).full_reason, run_of(run).warnings) == (2, "first", ["reconcile_advised"])
    assert world.served() == expected([(email, -score) for email, score in PEOPLE])


def test_a_snapshot_that_somebody_drops_during_a_load_is_taken_again(world, settings):
    world.sync()
    world.put([(email, score + 1) for email, score in PEOPLE])
    run = half_loaded(world)

    drop_what_is_loaded(settings)

    assert world.work(run).state == RunState.SUCCEEDED
    assert (run_of(run).attempt, run_of(run).error_code) == (2, "")
    assert world.served() == expected([(email, score + 1) for email, score in PEOPLE])


def test_a_snapshot_that_somebody_drops_again_and_again_fails_the_sync_and_says_why(world, settings, monkeypatch):
    monkeypatch.setattr(run_states, "MOST_RETRIES", 2)
    taken = run_snapshots.take

    def taken_and_dropped(*arguments):
        loads = taken(*arguments)
        drop_what_is_loaded(settings)
        return loads

    monkeypatch.setattr(run_snapshots, "take", taken_and_dropped)

    run = world.sync()

    assert (run.state, run.error_code, run.attempt) == (RunState.FAILED, "snapshot_lost", 3)
    assert "who drops tables of ours" in cures.of_run(run)
    assert partitions.waiting(now=timezone.now()).count() == 0


def drop_what_is_loaded(settings) -> None:
    for file in settings.SNAPSHOT_DIR.rglob("*_r*_a*.duckdb"):
        file.unlink()


def run_of(run: SyncRun) -> SyncRun:
    return SyncRun.objects.select_related("source__destination").get(pk=run.pk)
