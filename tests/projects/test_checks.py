"""Checks of warehouses and of projects' views, by the adapters on real warehouses."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as own_settings
from django.test import Client
from django.utils import timezone

from accounts.actors import PermissionRefused
from projects import checks, connections, projects, tasks
from projects.models import CheckState, Project, Warehouse, WarehouseCheck
from projects.warehouses.port import Relation, WarehouseRefused
from tests.cast import Member
from tests.projects.conftest import connect_to
from tests.projects.real_warehouses import DuckDBFile, PostgreSQLDatabase, RealWarehouse


def run(check: WarehouseCheck) -> WarehouseCheck:
    tasks.check_warehouse(check=check.pk)
    check.refresh_from_db()
    return check


def check_of(warehouse: Warehouse, by: Member, project: Project | None = None) -> WarehouseCheck:
    return run(checks.request_check(warehouse, project=project, by=by.actor, now=timezone.now()))


def states(check: WarehouseCheck) -> dict[str, str]:
    return {step["name"]: step["state"] for step in check.steps}


def test_a_working_warehouse_passes_in_named_steps(admin: Member, connected: Warehouse) -> None:
    check = check_of(connected, admin)

    assert check.state == CheckState.PASSED, check.steps
    assert set(states(check).values()) == {"passed"}
    assert "Connection" in states(check)
    connected.refresh_from_db()
    assert (connected.check_passed, connected.checked_at) == (True, check.finished_at)


def test_a_project_check_finds_and_reads_each_view(editor: Member, real_project: Project) -> None:
    check = check_of(real_project.warehouse, editor, real_project)

    assert check.state == CheckState.PASSED, check.steps
    assert states(check)["View profiles.features_by_email"] == "passed"
    by_email, by_salesforce = projects.served_views(Project.objects.get(pk=real_project.pk))
    assert by_email.relation == Relation("profiles", "features_by_email")
    assert by_salesforce.id_column == "SALESFORCE_ID"


def test_a_missing_output_schema_is_named(editor: Member, real_project: Project) -> None:
    moved = projects.move(
        real_project,
        warehouse=real_project.warehouse,
        output_schema="elsewhere",
        by=editor.actor,
        now=timezone.now(),
    )
    check = check_of(moved.warehouse, editor, moved)

    assert check.state == CheckState.FAILED
    assert check.steps[-1]["message"] == "There is no schema elsewhere, or the user may not see it."


def test_a_view_that_is_not_there_is_named_and_the_others_are_read(
    editor: Member, real: RealWarehouse, real_project: Project
) -> None:
    real.execute(["DROP VIEW profiles.features_by_email"])
    check = check_of(real_project.warehouse, editor, real_project)

    assert check.state == CheckState.FAILED
    assert states(check)["View features_by_email"] == "failed"
    assert states(check)["View profiles.user_feature_view_using_salesforce_id"] == "passed"
    assert WarehouseCheck.objects.get().steps == check.steps


def test_a_view_without_its_id_column_asks_for_it(editor: Member, real: RealWarehouse, real_project: Project) -> None:
    real.execute(
        ["DROP VIEW profiles.features_by_email", "CREATE VIEW profiles.features_by_email AS SELECT 'x' AS mail"]
    )
    check = check_of(real_project.warehouse, editor, real_project)

    (failed,) = (step for step in check.steps if step["state"] == "failed")
    assert failed["message"] == "features_by_email has no column called email."
    assert "Entities" in failed["cure"]


def test_a_file_that_is_not_there_fails_the_connection(admin: Member, duckdb_file: DuckDBFile) -> None:
    check = check_of(connect_to(admin.actor, duckdb_file), admin)

    assert check.state == CheckState.FAILED
    assert check.steps[0]["state"] == "failed"
    assert Warehouse.objects.get().check_passed is False


@pytest.fixture
def database(postgres: Any, postgres_database: str) -> PostgreSQLDatabase:
    return PostgreSQLDatabase(postgres, postgres_database, postgres.user, postgres.password)


def test_a_refused_password_is_told_without_the_drivers_words(admin: Member, database: PostgreSQLDatabase) -> None:
    wrong = PostgreSQLDatabase(database.server, database.database, database.user, "not" + "-the-one")
    check = check_of(connect_to(admin.actor, wrong), admin)

    assert check.state == CheckState.FAILED
    assert wrong.password not in str(check.steps)
    assert "FATAL" not in str(check.steps)


def test_a_host_that_does_not_resolve_fails_the_connection(admin: Member, database: PostgreSQLDatabase) -> None:
    warehouse = connect_to(admin.actor, database, host="nowhere.invalid")
    check = check_of(warehouse, admin)

    assert check.steps == [
        {
            "name": "Connection",
            "state": "failed",
            "message": "There is no server by the name nowhere.invalid. Check the spelling.",
            "cure": "Correct the connection and check again.",
        }
    ]


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1"])
def test_addresses_of_the_operators_network_are_not_dialled(
    admin: Member, database: PostgreSQLDatabase, settings: Any, host: str
) -> None:
    warehouse = connect_to(admin.actor, database, host=host)
    settings.ALLOW_PRIVATE_ADDRESSES = False

    with pytest.raises(WarehouseRefused):
        connections.open_warehouse(warehouse)


def test_our_own_database_is_refused_and_another_on_its_server_is_not(
    admin: Member, database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"ENGINE": "django.db.backends.postgresql", "HOST": "localhost", "PORT": database.server.port, "NAME": "ours"}
    for name, value in own.items():
        monkeypatch.setitem(own_settings.DATABASES["default"], name, value)
    other, ours = connect_to(admin.actor, database), Warehouse(name="Ours", kind="postgresql")
    ours.settings = {**database.settings(), "database": "ours"}

    assert connections.open_warehouse(other)
    with pytest.raises(WarehouseRefused, match="own servers"):
        connections.open_warehouse(ours)


def test_our_own_broker_is_refused(admin: Member, database: PostgreSQLDatabase, settings: Any) -> None:
    settings.BROKER_URL = f"redis://localhost:{database.server.port}/0"

    with pytest.raises(WarehouseRefused, match="own servers"):
        connections.open_warehouse(connect_to(admin.actor, database))


# The row is the queue


def test_asking_twice_queues_one_check(admin: Member, warehouse: Warehouse) -> None:
    first = checks.request_check(warehouse, by=admin.actor, now=timezone.now())

    assert checks.request_check(warehouse, by=admin.actor, now=timezone.now()) == first


def test_too_many_checks_in_a_few_minutes_are_refused_and_dial_nothing(
    admin: Member, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_IN_FIVE_MINUTES", 1)
    now = timezone.now()
    allowed = run(checks.request_check(warehouse, by=admin.actor, now=now))
    refused = checks.request_check(warehouse, by=admin.actor, now=now)

    assert allowed.attempt == 1
    assert (refused.state, refused.attempt) == (CheckState.FAILED, 0)
    assert "Wait a little" in refused.steps[0]["cure"]
    assert not checks.run_check(refused.pk, now=now), "nothing is dialled"
    assert checks.request_check(warehouse, by=admin.actor, now=now + timedelta(minutes=6)).state == CheckState.QUEUED


def test_only_an_admin_checks_a_warehouse_and_editors_their_projects(
    admin: Member, editor: Member, viewer: Member, project: Project
) -> None:
    now = timezone.now()
    with pytest.raises(PermissionRefused):
        checks.request_check(project.warehouse, by=editor.actor, now=now)
    with pytest.raises(PermissionRefused):
        checks.request_check(project.warehouse, project=project, by=viewer.actor, now=now)
    assert checks.request_check(project.warehouse, by=admin.actor, now=now)
    assert checks.request_check(project.warehouse, project=project, by=editor.actor, now=now)


def test_a_doubled_wake_up_runs_a_check_once(admin: Member, warehouse: Warehouse) -> None:
    check = checks.request_check(warehouse, by=admin.actor, now=timezone.now())

    assert checks.run_check(check.pk, now=timezone.now())
    assert not checks.run_check(check.pk, now=timezone.now())


def test_a_check_whose_worker_was_lost_is_taken_up_again(admin: Member, warehouse: Warehouse) -> None:
    now = timezone.now()
    check = checks.request_check(warehouse, by=admin.actor, now=now)
    WarehouseCheck.objects.update(state=CheckState.RUNNING, started_at=now, attempt=1)

    assert checks.waiting(now=now + timedelta(minutes=4)) == []
    assert not checks.run_check(check.pk, now=now + timedelta(minutes=4))
    assert checks.waiting(now=now + timedelta(minutes=6)) == [check.pk]
    assert checks.run_check(check.pk, now=now + timedelta(minutes=6))


def test_a_check_that_is_lost_again_and_again_ends(admin: Member, warehouse: Warehouse) -> None:
    check = checks.request_check(warehouse, by=admin.actor, now=timezone.now())
    WarehouseCheck.objects.update(attempt=checks.MAX_ATTEMPTS)

    assert run(check).state == CheckState.FAILED
    assert "interrupted" in check.steps[0]["message"]


def test_a_lost_wake_up_is_made_good(admin: Member, warehouse: Warehouse) -> None:
    check = checks.request_check(warehouse, by=admin.actor, now=timezone.now())

    assert checks.waiting(now=timezone.now() + timedelta(seconds=30)) == [check.pk]


def test_the_page_shows_what_the_check_found(admin: Member, client: Client, connected: Warehouse) -> None:
    check_of(connected, admin)
    page = admin.client.get(f"/o/acme/warehouses/{connected.public_id}/").content.decode()

    assert "Passed" in page
    assert "create a project" in page
