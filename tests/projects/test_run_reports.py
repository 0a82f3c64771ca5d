"""Reporting Profiles runs, by API and by a person."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from accounts.roles import Role
from projects import runs
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, WarehouseCheck
from projects.runs import ReportRefused
from tests.cast import Member

Answer = tuple[int, dict[str, Any]]


def post(client: Client, project: Project, token: str, body: object) -> Answer:
    answer = client.post(
        f"/v2/projects/{project.public_id}/runs",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.status_code, answer.json()


def test_a_report_is_recorded_once_by_its_reference(client: Client, editor: Member, project: Project) -> None:
    body = {"status": "finished", "reference": "airflow-7", "finishedAt": "2026-01-31T09:00:00+01:00"}
    first = post(client, project, editor.token(), body)
    second = post(client, project, editor.token(), body)

    run = ProfilesRun.objects.get()
    assert first == (201, {"runId": run.public_id})
    assert second == (200, {"runId": run.public_id})
    assert (run.status, run.origin, run.reported_by) == (RunStatus.FINISHED, RunOrigin.API, editor.user.email)
    assert run.finished_at == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert AuditEvent.objects.filter(action="profiles_run_reported").count() == 1


def test_reports_without_a_reference_are_runs_of_their_own(client: Client, editor: Member, project: Project) -> None:
    token = editor.token()
    assert post(client, project, token, {"status": "finished"}) != post(client, project, token, {"status": "finished"})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "JSON object"),
        ({}, "`status`"),
        ({"status": "running"}, "`status`"),
        ({"status": 5}, "`status`"),
        ({"status": "finished", "reference": 7}, "`reference`"),
        ({"status": "finished", "reference": "x" * 201}, "`reference`"),
        ({"status": "finished", "reference": "a\x00b"}, "without control characters"),
        ({"status": "finished", "finishedAt": "yesterday"}, "`finishedAt`"),
        ({"status": "finished", "finishedAt": "0001-01-01T00:00:00+23:00"}, "`finishedAt`"),
        ({"status": "finished", "finishedAt": "2999-01-01T00:00:00Z"}, "`finishedAt`"),
    ],
)
def test_a_wrong_report_is_refused_with_the_field(
    client: Client, editor: Member, project: Project, body: object, named: str
) -> None:
    status, answer = post(client, project, editor.token(), body)

    assert (status, answer["code"]) == (400, "invalid_request")
    assert named in answer["error"]
    assert not ProfilesRun.objects.exists()


def test_who_may_not_report_is_refused(
    client: Client, admin: Member, editor: Member, viewer: Member, outsider: Member, project: Project
) -> None:
    body: Mapping[str, str] = {"status": "finished"}

    assert post(client, project, viewer.token(), body)[0] == 401
    assert post(client, project, editor.token(Role.VIEWER), body)[0] == 401
    assert post(client, project, "actv_none", body)[0] == 401
    assert post(client, project, outsider.token(), body)[0] == 404
    project.public_id += "\x00"
    assert post(client, project, admin.token(), body)[0] == 404
    assert not ProfilesRun.objects.exists()
    project.refresh_from_db()
    assert post(client, project, admin.token(), body)[0] == 201


def test_other_methods_are_not_allowed(client: Client, editor: Member, project: Project) -> None:
    headers = {"Authorization": f"Bearer {editor.token()}"}
    answer = client.get(f"/v2/projects/{project.public_id}/runs", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def report(project: Project, by: Member, **values: Any) -> ProfilesRun:
    wanted = {"status": "finished", "reference": "", "finished_at": None, **values}
    return runs.report(project, by=by.actor, now=timezone.now(), **wanted)[0]


def test_a_person_reports_a_run_on_the_page(editor: Member, viewer: Member, project: Project) -> None:
    with pytest.raises(PermissionRefused):
        report(project, viewer)

    assert report(project, editor).origin == RunOrigin.PAGE


def test_the_newest_finished_run_is_the_latest(editor: Member, project: Project) -> None:
    now = timezone.now()
    newest = report(project, editor, reference="b", finished_at=now - timedelta(hours=1))
    report(project, editor, reference="a", finished_at=now - timedelta(hours=2))
    report(project, editor, reference="c", status="failed", finished_at=now)

    assert runs.latest_finished(project) == newest
    assert [run.reference for run in project.runs.order_by("-finished_at")] == ["c", "b", "a"]


def test_a_run_of_the_future_is_refused(editor: Member, project: Project) -> None:
    with pytest.raises(ReportRefused):
        report(project, editor, finished_at=timezone.now() + timedelta(hours=1))


def test_a_report_has_views_looked_up_that_were_not_found_yet(editor: Member, project: Project) -> None:
    report(project, editor)

    assert WarehouseCheck.objects.get().project == project
