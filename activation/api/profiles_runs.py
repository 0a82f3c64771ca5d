"""Profiles runs by API: an orchestrator reports one that has ended, or has one started here.

`POST /v2/projects/{id}/runs` with `{"status": "finished"|"failed", "reference": "…", "finishedAt":
"2026-01-31T08:00:00Z"}`, the last two optional, answers 201 `{"runId"}`, and 200 with the same id when the reference
was reported before. `POST /v2/sources/{profilesId}/start` and `GET …/runs/{runId}/status` have the hosted product's
shapes (https://www.rudderstack.com/docs/api/profiles-api/). For a token's limits, reporting and starting are the call
`sync`, because syncs follow.
"""

from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.roles import Permission
from activation.api import fields
from activation.api.bodies import BodyInvalid
from activation.api.managing import CREATED, answer
from activation.api.problems import conflict
from activation.api.reached import project_for
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from projects import runner, runs, tasks
from projects.models import RunStatus
from projects.runs import ReportRefused


class RunReports(ApiView):
    """Takes reports of finished runs, with the token of an Editor or an Admin."""

    http_method_names = ["post"]

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Record a run."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.REPORT_RUNS)
        body = fields.object_in(raw_body(request))
        try:
            run, created = runs.report(
                project,
                status=_text(body, "status"),
                reference=_text(body, "reference"),
                finished_at=_time(body, "finishedAt"),
                by=identity.actor,
                now=timezone.now(),
            )
        except ReportRefused as error:
            raise BodyInvalid(str(error)) from None
        return answer({"runId": run.public_id}, status=CREATED if created else 200)


class ProfilesStart(ApiView):
    """Starts a run by the operator's command: `{"parameters": ["--begin_time …"]}`, optional → `{"runId"}`, or 409."""

    http_method_names = ["post"]

    def post(self, request: Request, profiles_id: str) -> HttpResponse:
        """Start a run."""
        identity = identity_of(request)
        project = project_for(identity, profiles_id, Permission.REPORT_RUNS)
        parameters = fields.object_in(raw_body(request)).get("parameters") or []
        if not isinstance(parameters, list) or not all(isinstance(each, str) for each in parameters):
            raise BodyInvalid(str(runner.ParametersRefused()))
        try:
            run = runner.start(project, parameters=parameters, by=identity.actor, now=timezone.now())
        except runner.ParametersRefused as error:
            raise BodyInvalid(str(error)) from None
        except runner.NoRunner as error:
            raise conflict("no_runner", str(error)) from None
        except runner.RunActive as error:
            raise conflict("already_running", str(error)) from None
        tasks.wake_runner(run)
        return answer({"runId": run.public_id})


class ProfilesStatus(ApiView):
    """Tells where a run stands, whichever way it became known."""

    http_method_names = ["get"]

    def get(self, request: Request, profiles_id: str, run_id: str) -> HttpResponse:
        """Return the run's status: running, finished or failed."""
        project = project_for(identity_of(request), profiles_id, Permission.VIEW)
        run = project.runs.filter(public_id=run_id).first() if run_id.isalnum() else None
        if run is None:
            raise Http404
        return answer(
            {
                "jobId": project.public_id,
                "jobRunId": run.public_id,
                "status": run.status,
                "startedAt": as_text(run.started_at or run.created_at),
                "finishedAt": as_text(run.finished_at if run.status != RunStatus.RUNNING else None),
                "error": run.error or None,
                "tasks": [],
            }
        )


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BodyInvalid(f"`{name}` must be text.")
    return value


def _time(body: dict[str, Any], name: str) -> datetime | None:
    """Read an ISO 8601 time; without a zone it is UTC."""
    text = _text(body, name)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BodyInvalid(f"`{name}` must be a time in ISO 8601, such as 2026-01-31T08:00:00Z.") from None
