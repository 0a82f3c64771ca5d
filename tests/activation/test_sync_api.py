"""The sync API in the hosted shapes, through the lean handler: what each role, limit and state is answered."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

from accounts.models import AuditEvent, PersonalAccessToken
from activation.models import Activation, RedisDestination, RunState, Source, SyncPartition, SyncRun
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse, WarehouseKind
from tests.cast import Member
from tests.contracts.caller import Called, call

UNAUTHORIZED = {"error": "Unauthorized request. Please check your access token", "code": "unauthorized"}
NOW = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)


@pytest.fixture
def source(admin: Member) -> Source:
    return source_of(admin)


def source_of(member: Member) -> Source:
    """A source of the member's organisation that nothing dials."""
    organisation = member.organisation
    warehouse = Warehouse.objects.create(
        organisation=organisation, name="Files", kind=WarehouseKind.DUCKDB, settings={"file": "a.duckdb"}
    )
    project = Project.objects.create(
        organisation=organisation, warehouse=warehouse, output_schema="p", name="Customers", slug="customers"
    )
    destination = RedisDestination.objects.create(
        organisation=organisation, workspace_id="w", name="Redis", settings={"address": "r:6379"}
    )
    activation = Activation.objects.create(project=project, destination=destination, enabled_by="ada")
    return Source.objects.create(
        activation=activation, destination=destination, entity="user", id_type="email", feature_view="v"
    )


def ask(member: Member | str, method: str, path: str, body: object = None, query: str = "") -> Called:
    token = member if isinstance(member, str) else member.token()
    raw = b"" if body is None else orjson.dumps(body)
    return call(method, f"/v2/retl-connections/{path}", raw, QUERY_STRING=query, HTTP_AUTHORIZATION=f"Bearer {token}")


def start(member: Member | str, source: Source, body: object = None) -> Called:
    return ask(member, "POST", f"{source.public_id}/start", body)


def listed(member: Member, source: Source, query: str = "") -> Any:
    return ask(member, "GET", f"{source.public_id}/syncs", query=query).json


def run_of(source: Source, state: RunState, **fields: Any) -> SyncRun:
    return SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.PERSON, state=state, **fields)


# Starting


@pytest.mark.parametrize("body", [None, {}, {"syncType": "incremental"}])
def test_a_sync_is_started_and_its_id_returned(source, editor, body):
    answer = start(editor, source, body)

    run = SyncRun.objects.get()
    assert (answer.status, answer.json) == (200, {"syncId": run.public_id})
    assert (run.kind, run.trigger, run.requested_by) == (
        SyncRun.Kind.INCREMENTAL,
        SyncRun.Trigger.API,
        editor.user.email,
    )
    assert answer.headers["cache-control"] == "no-store"
    assert AuditEvent.objects.get(action="sync.started").token == "A token"


def test_a_full_sync_is_started_when_asked_for(source, editor):
    start(editor, source, {"syncType": "full"})

    run = SyncRun.objects.get()
    assert (run.kind, run.full_reason) == (SyncRun.Kind.FULL, "requested")


def test_a_second_start_while_one_is_active_is_refused_and_leaves_nothing_behind(source, editor):
    start(editor, source)

    answer = start(editor, source, {"syncType": "full"})

    assert (answer.status, answer.json["code"]) == (409, "already_running")
    assert SyncRun.objects.count() == 1
    assert Source.objects.get().follow_up == {}


@pytest.mark.parametrize(
    ("enabled", "status", "cure"),
    [(False, Source.Status.ACTIVE, "turned off: turn it on"), (True, Source.Status.RETIRED, "bring it back in")],
)
def test_a_source_that_is_not_synced_any_more_says_why_and_what_to_do(source, editor, enabled, status, cure):
    Activation.objects.update(enabled=enabled)
    Source.objects.update(status=status)

    answer = start(editor, source)

    assert (answer.status, answer.json["code"]) == (409, "not_synced")
    assert cure in answer.json["error"]


@pytest.mark.parametrize("body", [[], "full", {"syncType": "all"}, {"syncType": None}, {"syncType": ["full"]}])
def test_a_body_that_asks_for_something_else_is_refused(source, editor, body):
    answer = start(editor, source, body)

    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert not SyncRun.objects.exists()


# Who may


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
def test_viewers_read_and_editors_and_admins_start_and_stop(source, request, role):
    member: Member = request.getfixturevalue(role)
    token = member.token()

    started = start(token, source)
    stopped = ask(token, "POST", f"{source.public_id}/stop")
    read = ask(token, "GET", f"{source.public_id}/syncs")

    if role == "viewer":
        assert (started.status, started.json) == (401, UNAUTHORIZED)
        assert (stopped.status, stopped.json) == (401, UNAUTHORIZED)
    else:
        assert (started.status, stopped.status) == (200, 204)
    assert read.status == 200


@pytest.mark.parametrize(
    ("method", "path", "succeeds"),
    [("POST", "start", 200), ("GET", "syncs", 200), ("GET", "syncs/{run}", 200), ("POST", "stop", 204)],
)
def test_another_organisations_connection_looks_like_none(source, admin, outsider, method, path, succeeds):
    run = run_of(source, RunState.SUCCEEDED)
    path = path.format(run=run.public_id)

    theirs = ask(outsider, method, f"{source.public_id}/{path}")
    nobodys = ask(admin, method, f"0000000000000000000000000xx/{path}")
    odd = ask(admin, method, f"a\x00b/{path}")

    assert theirs.status == nobodys.status == odd.status == 404
    assert theirs.json == nobodys.json == odd.json
    assert theirs.json["code"] == "not_found"
    assert ask(admin, method, f"{source.public_id}/{path}").status == succeeds


@pytest.mark.parametrize(
    ("limits", "may_read", "may_start"),
    [
        ({"entities": ["user"]}, True, True),
        ({"entities": ["account"]}, False, False),
        ({"destinations": ["other"]}, False, False),
        ({"verbs": ["read"]}, True, False),
        ({"verbs": ["read", "sync"]}, True, True),
        ({"moon": "full"}, False, False),
    ],
)
def test_a_token_keeps_to_its_limits(source, editor, limits, may_read, may_start):
    token = editor.token()
    PersonalAccessToken.objects.update(limits=limits)

    read = ask(token, "GET", f"{source.public_id}/syncs")
    started = start(token, source)

    assert (read.status, started.status) == (200 if may_read else 401, 200 if may_start else 401)


def test_a_token_keeps_to_its_rate(source, editor):
    token = editor.token()
    PersonalAccessToken.objects.update(limits={"rate": 1})

    assert [ask(token, "GET", f"{source.public_id}/syncs").status for _ in range(2)] == [200, 429]


# Reading


def test_a_sync_is_told_in_the_hosted_shape(source, viewer):
    run = run_of(
        source,
        RunState.SUCCEEDED,
        queued_at=NOW,
        finished_at=NOW + timedelta(seconds=1.5),
        snapshot_rows=1000,
        rows_planned=40,
        deletes_planned=10,
        written=36,
        suppressed=3,
        deleted=10,
        failed=1,
    )

    assert ask(viewer, "GET", f"{source.public_id}/syncs/{run.public_id}").json == {
        "id": run.public_id,
        "status": "succeeded",
        "startedAt": "2026-03-10T10:00:00.000Z",
        "finishedAt": "2026-03-10T10:00:01.500Z",
        "error": None,
        "metrics": {
            "succeeded": {"total": 49},
            "failed": {"total": 1},
            "changed": {"total": 50},
            "total": 1010,
        },
    }


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        (RunState.QUEUED, "running", None),
        (RunState.SNAPSHOT, "running", None),
        (RunState.LOADING, "running", None),
        (RunState.FINISHING, "running", None),
        (RunState.SUCCEEDED, "succeeded", None),
        (RunState.FAILED, "failed", "Redis refused the password."),
        (RunState.CANCELLED, "failed", "stopped"),
    ],
)
def test_every_state_has_its_hosted_status(source, viewer, state, status, error):
    text = "Redis refused the password." if state == RunState.FAILED else ""
    run = run_of(source, state, error=text)

    told = ask(viewer, "GET", f"{source.public_id}/syncs/{run.public_id}").json

    assert (told["status"], told["error"]) == (status, error)


def test_a_sync_that_loads_tells_how_far_it_is(source, viewer):
    run = run_of(source, RunState.LOADING, snapshot_rows=100, rows_planned=100, deletes_planned=0)
    SyncPartition.objects.create(run=run, number=0, rows_planned=50, written=30, failed=2)

    metrics = ask(viewer, "GET", f"{source.public_id}/syncs/{run.public_id}").json["metrics"]

    assert metrics == {
        "succeeded": {"total": 30},
        "failed": {"total": 2},
        "changed": {"total": 100},
        "total": 100,
    }


def test_a_sync_of_another_connection_is_not_found_under_this_one(source, admin):
    other = Source.objects.create(
        activation=source.activation, destination=source.destination, entity="user", id_type="email", feature_view="w"
    )
    run = run_of(other, RunState.SUCCEEDED)

    assert ask(admin, "GET", f"{source.public_id}/syncs/{run.public_id}").status == 404
    assert ask(admin, "GET", f"{source.public_id}/syncs/a\x00b").status == 404
    assert ask(admin, "GET", f"{other.public_id}/syncs/{run.public_id}").status == 200


def test_the_list_is_newest_first_and_paged(source, viewer):
    runs = [run_of(source, RunState.SUCCEEDED, queued_at=NOW + timedelta(minutes=n)) for n in range(5)]
    ids = [run.public_id for run in reversed(runs)]

    first = listed(viewer, source, "per_page=2&status=succeeded")
    path, _, query = first["paging"]["next"].partition("?")
    second = ask(viewer, "GET", path.removeprefix("/v2/retl-connections/"), query=query).json
    last = listed(viewer, source, "per_page=2&page=3")
    beyond = listed(viewer, source, "page=9")

    assert [run["id"] for run in first["syncs"]] == ids[:2]
    assert first["paging"]["total"] == 5
    assert [run["id"] for run in second["syncs"]] == ids[2:4]
    assert ([run["id"] for run in last["syncs"]], last["paging"]) == (ids[4:], {"total": 5, "next": None})
    assert (beyond["syncs"], beyond["paging"]) == ([], {"total": 5, "next": None})


def test_the_list_is_filtered_by_status_and_time(source, viewer):
    states = [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.LOADING]
    runs = {state: run_of(source, state, queued_at=NOW + timedelta(hours=n)) for n, state in enumerate(states)}

    def found(query: str) -> set[str]:
        ids = {run["id"] for run in listed(viewer, source, query)["syncs"]}
        return {state for state, run in runs.items() if run.public_id in ids}

    assert found("status=running") == {RunState.LOADING}
    assert found("status=succeeded") == {RunState.SUCCEEDED}
    assert found("status=failed") == {RunState.FAILED, RunState.CANCELLED}
    assert found("started_after=2026-03-10T11:00:00Z") == {RunState.CANCELLED, RunState.LOADING}
    assert found("started_after=2026-03-10T10:30:00&started_before=2026-03-10T13:30:00%2B02:00") == {RunState.FAILED}


@pytest.mark.parametrize(
    "query",
    [
        "status=all",
        "page=0",
        "page=-1",
        "page=x",
        "page=%C2%B2",
        "per_page=101",
        "per_page=",
        "page=" + "9" * 5000,
        "started_after=yesterday",
        "started_before=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_a_query_that_cannot_be_meant_is_refused_by_its_name(source, viewer, query):
    answer = ask(viewer, "GET", f"{source.public_id}/syncs", query=query)

    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert query.partition("=")[0] in answer.json["error"]


# Stopping


def test_stop_ends_the_active_sync_and_what_was_to_follow(source, editor):
    run = run_of(source, RunState.LOADING)
    Source.objects.update(follow_up={"trigger": "person", "full": False, "by": "ada"})

    answer = ask(editor, "POST", f"{source.public_id}/stop")

    run.refresh_from_db()
    assert (answer.status, answer.body) == (204, b"")
    assert (run.state, run.stopped_by) == (RunState.CANCELLED, editor.user.email)
    assert Source.objects.get().follow_up == {}


def test_stop_without_an_active_sync_is_fine(source, editor):
    run = run_of(source, RunState.SUCCEEDED, finished_at=timezone.now())

    assert ask(editor, "POST", f"{source.public_id}/stop").status == 204

    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED


@pytest.mark.parametrize(("method", "path"), [("GET", "start"), ("GET", "stop"), ("POST", "syncs"), ("DELETE", "stop")])
def test_other_methods_are_refused_in_the_apis_shape(source, admin, method, path):
    answer = ask(admin, method, f"{source.public_id}/{path}")

    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"]


# A project's syncs, as we know them


def of_project(member: Member | str, source: Source, query: str = "") -> Called:
    token = member if isinstance(member, str) else member.token()
    path = f"/v2/projects/{source.activation.project.public_id}/syncs"
    return call("GET", path, QUERY_STRING=query, HTTP_AUTHORIZATION=f"Bearer {token}")


def test_a_projects_syncs_are_told_with_every_state_and_count(source, viewer):
    profiles_run = ProfilesRun.objects.create(
        project=source.activation.project, status=RunStatus.FINISHED, origin=RunOrigin.API, reference="r"
    )
    run_of(source, RunState.CANCELLED, queued_at=NOW - timedelta(hours=1))
    run = run_of(
        source,
        RunState.SUCCEEDED,
        queued_at=NOW,
        snapshot_at=NOW,
        finished_at=NOW,
        profiles_run=profiles_run,
        written=9,
        unchanged=90,
        rows_planned=9,
        rows_in_view=99,
    )

    told = of_project(viewer, source, f"runId={profiles_run.public_id}").json

    assert told["paging"] == {"total": 1, "next": None}
    [sync] = told["syncs"]
    assert (sync["id"], sync["connectionId"], sync["state"]) == (run.public_id, source.public_id, "succeeded")
    assert (sync["runId"], sync["trigger"], sync["snapshotAt"]) == (
        profiles_run.public_id,
        "person",
        "2026-03-10T10:00:00.000Z",
    )
    assert sync["rows"] == {
        "inView": 99,
        "toWrite": 9,
        "toDelete": None,
        "unchanged": 90,
        "written": 9,
        "deleted": 0,
        "suppressed": 0,
        "failed": 0,
        "withoutId": 0,
        "duplicates": 0,
        "contradicting": 0,
        "kept": 0,
    }
    assert [each["state"] for each in of_project(viewer, source).json["syncs"]] == ["succeeded", "cancelled"]
    assert [each["state"] for each in of_project(viewer, source, "state=cancelled").json["syncs"]] == ["cancelled"]


def test_a_projects_syncs_are_for_its_organisation_and_within_a_tokens_limits(source, viewer, outsider):
    run_of(source, RunState.SUCCEEDED)
    token = viewer.token()
    PersonalAccessToken.objects.update(limits={"entities": ["account"]})

    assert of_project(outsider, source).status == 404
    assert of_project(token, source).json["syncs"] == []
    assert len(of_project(viewer, source).json["syncs"]) == 1


@pytest.mark.parametrize("limits", [{"verbs": ["sync"]}, {"moons": [1]}])
def test_a_token_that_reads_nothing_is_not_told_that_a_project_has_no_syncs(source, viewer, outsider, limits):
    run_of(source, RunState.SUCCEEDED)
    token, foreign = viewer.token(), outsider.token()
    PersonalAccessToken.objects.update(limits=limits)

    assert of_project(token, source).status == 401
    assert of_project(foreign, source).status == 404


@pytest.mark.parametrize("query", ["state=running", "runId=a%00b", "page=0", "per_page=1000"])
def test_a_query_about_a_projects_syncs_that_cannot_be_meant_is_refused(source, viewer, query):
    answer = of_project(viewer, source, query)

    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert query.partition("=")[0] in answer.json["error"]
