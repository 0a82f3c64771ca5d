"""Runs found in the registry of real warehouses."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from config.celery import app
from projects import checks, connections, runs, tasks
from projects.models import CheckState, ProfilesRun, Project, RunStatus
from tests.cast import Member
from tests.projects.real_warehouses import BY_EMAIL, BY_SALESFORCE_ID, DuckDBFile, RealWarehouse, complete

NOW = datetime(2026, 2, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=2)


def stored() -> list[tuple[int | None, str]]:
    return [*ProfilesRun.objects.order_by("seq_no").values_list("seq_no", "status")]


def test_a_run_is_found_once_it_has_completed_all_views(real: RealWarehouse, real_project: Project) -> None:
    assert runs.detect(real_project, now=NOW) == []
    real.execute(complete(7, BY_EMAIL, BY_SALESFORCE_ID, "something_else"))

    (run,) = runs.detect(real_project, now=NOW)

    assert run.seq_no == 7
    latest = runs.latest_finished(real_project)
    assert latest is not None
    assert (latest, latest.finished_at) == (run, datetime(2026, 1, 31, 8, tzinfo=UTC))
    assert runs.detect(real_project, now=LATER) == []
    assert real_project.runs_problem == ""


def test_models_of_others_and_started_models_are_no_run(real: RealWarehouse, real_project: Project) -> None:
    real.execute([*complete(7, "something_else"), *complete(8, BY_EMAIL, status=1)])

    assert runs.detect(real_project, now=NOW) == []


def test_a_run_that_goes_on_is_not_finished_before_it_is_quiet(real: RealWarehouse, real_project: Project) -> None:
    real.execute(complete(7, BY_EMAIL))
    runs.detect(real_project, now=NOW)
    assert stored() == [(7, RunStatus.RUNNING)]

    real.execute(complete(7, BY_SALESFORCE_ID, at="2026-01-31 08:05:00"))
    runs.detect(real_project, now=NOW + timedelta(seconds=10))

    assert stored() == [(7, RunStatus.FINISHED)]
    assert ProfilesRun.objects.get().finished_at == datetime(2026, 1, 31, 8, 5, tzinfo=UTC)


def test_a_run_of_some_views_is_finished_when_nothing_was_added(real: RealWarehouse, real_project: Project) -> None:
    real.execute(complete(7, BY_EMAIL))
    runs.detect(real_project, now=NOW)
    runs.detect(real_project, now=LATER)

    assert stored() == [(7, RunStatus.FINISHED)]


def test_older_runs_of_some_views_are_finished_at_once(real: RealWarehouse, real_project: Project) -> None:
    real.execute([*complete(7, BY_EMAIL), *complete(9, BY_EMAIL, BY_SALESFORCE_ID)])
    runs.detect(real_project, now=NOW)

    assert stored() == [(7, RunStatus.FINISHED), (9, RunStatus.FINISHED)]


def test_views_that_a_run_has_made_are_looked_up(real: RealWarehouse, real_project: Project) -> None:
    real.execute([f"DROP VIEW profiles.{BY_EMAIL}"])
    runs.detect(real_project, now=NOW)
    assert BY_EMAIL not in real_project.placements

    real.execute([f"CREATE VIEW profiles.{BY_EMAIL} AS SELECT 'x' AS email", *complete(7, BY_EMAIL, BY_SALESFORCE_ID)])
    runs.detect(real_project, now=LATER)

    assert Project.objects.get().placements[BY_EMAIL]["id_column"] == "email"


def test_a_schema_without_a_registry_is_no_problem(real: RealWarehouse, real_project: Project) -> None:
    real.execute(["DROP TABLE profiles.material_registry_4"])

    assert runs.detect(real_project, now=NOW) == []
    assert real_project.runs_problem == ""


def test_a_warehouse_that_cannot_be_read_leaves_its_reason(
    editor: Member, duckdb_file: DuckDBFile, project: Project
) -> None:
    assert runs.detect(project, now=NOW) == []

    problem = Project.objects.get().runs_problem
    assert problem == "The DuckDB file is not there."
    assert problem in editor.client.get("/o/acme/projects/shop/history/").content.decode()


def test_a_registry_is_looked_at_when_due_and_by_one_look_only(real_project: Project) -> None:
    assert runs.due(now=NOW) == [real_project.pk]
    runs.look(real_project.pk, now=NOW)

    assert runs.due(now=NOW + timedelta(seconds=59)) == []
    assert runs.due(now=NOW + timedelta(seconds=60)) == [real_project.pk]


def test_two_looks_at_once_find_a_run_once(
    real: RealWarehouse, real_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.execute(complete(7, BY_EMAIL, BY_SALESFORCE_ID))
    other = Project.objects.get(pk=real_project.pk)
    opened: list[object] = []

    def open_twice(warehouse: object) -> object:
        if not opened:
            opened.append(warehouse)
            assert [run.seq_no for run in runs.detect(other, now=NOW)] == [7]
        return connections.open_warehouse(other.warehouse)

    monkeypatch.setattr(runs, "open_warehouse", open_twice)

    assert runs.detect(real_project, now=NOW) == []
    assert stored() == [(7, RunStatus.FINISHED)]


def test_a_look_that_another_has_taken_does_nothing(real: RealWarehouse, real_project: Project) -> None:
    real.execute(complete(7, BY_EMAIL, BY_SALESFORCE_ID))
    Project.objects.update(runs_looked_for_at=timezone.now())

    assert runs.look(real_project.pk, now=timezone.now()) == []
    assert stored() == []


def test_the_tick_sends_out_what_is_due(
    admin: Member, real: RealWarehouse, real_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.execute(complete(7, BY_EMAIL, BY_SALESFORCE_ID))
    asked = timezone.now() - timedelta(minutes=1)
    check = checks.request_check(real_project.warehouse, by=admin.actor, now=asked)
    monkeypatch.setitem(app.conf, "task_always_eager", True)

    tasks.look_for_runs()

    assert stored() == [(7, RunStatus.FINISHED)]
    check.refresh_from_db()
    assert check.state == CheckState.PASSED


def test_a_project_that_passes_its_check_knows_of_its_runs_at_once(
    editor: Member, real: RealWarehouse, real_project: Project
) -> None:
    runs.look(real_project.pk, now=timezone.now())
    real.execute(complete(7, BY_EMAIL, BY_SALESFORCE_ID))
    check = checks.request_check(real_project.warehouse, project=real_project, by=editor.actor, now=timezone.now())

    tasks.check_warehouse(check=check.pk)

    check.refresh_from_db()
    assert (check.state, stored()) == (CheckState.PASSED, [(7, RunStatus.FINISHED)])
