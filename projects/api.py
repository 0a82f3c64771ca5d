"""Profiles runs by API: an orchestrator reports one that has ended, or has one started here.

`POST /v2/projects/{id}/runs` with `{"status": "finished"|"failed", "reference": "…", "finishedAt":
"2026-01-31T08:00:00Z"}`, the last two optional, answers 201 `{"runId"}`, and 200 with the same id when the reference
was reported before. `POST /v2/sources/{profilesId}/start` and `GET …/runs/{runId}/status` have the hosted product's
shapes (https://www.rudderstack.com/docs/api/profiles-api/). Errors have the API's one shape, which the exception
handler of the settings gives them.
"""

from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Permission
from accounts.tokens import TokenIdentity
from projects import access, runner, runs, tasks
from projects.models import RunStatus
from projects.runs import ReportRefused


class Conflict(APIException):
    """What was asked for cannot be done now: 409 with a code that says why."""

    status_code = status.HTTP_409_CONFLICT

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.default_code = code


class RunReports(APIView):
    """Takes reports of finished runs, with the token of an Editor or an Admin."""

    def post(self, request: Request, project_id: str) -> Response:
        """Record a run."""
        identity: TokenIdentity = request.auth  # type: ignore[assignment]  # TokenAuthentication sets nothing else
        project = access.project_by_public_id(identity.actor, project_id, Permission.REPORT_RUNS)
        body = _object(request.data)
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
            raise ParseError(str(error)) from None
        return Response({"runId": run.public_id}, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class ProfilesStart(APIView):
    """Starts a run by the operator's command: `{"parameters": ["--begin_time …"]}`, optional → `{"runId"}`, or 409."""

    def post(self, request: Request, profiles_id: str) -> Response:
        """Start a run."""
        identity: TokenIdentity = request.auth  # type: ignore[assignment]  # TokenAuthentication sets nothing else
        project = access.project_by_public_id(identity.actor, profiles_id, Permission.REPORT_RUNS)
        parameters = _object(request.data).get("parameters") or []
        if not isinstance(parameters, list) or not all(isinstance(each, str) for each in parameters):
            raise ParseError(str(runner.ParametersRefused()))
        try:
            run = runner.start(project, parameters=parameters, by=identity.actor, now=timezone.now())
        except runner.ParametersRefused as error:
            raise ParseError(str(error)) from None
        except runner.NoRunner as error:
            raise Conflict("no_runner", str(error)) from None
        except runner.RunActive as error:
            raise Conflict("already_running", str(error)) from None
        tasks.wake_runner(run)
        return Response({"runId": run.public_id})


class ProfilesStatus(APIView):
    """Tells where a run stands, whichever way it became known."""

    def get(self, request: Request, profiles_id: str, run_id: str) -> Response:
        """Return the run's status: running, finished or failed."""
        identity: TokenIdentity = request.auth  # type: ignore[assignment]  # TokenAuthentication sets nothing else
        project = access.project_by_public_id(identity.actor, profiles_id)
        run = project.runs.filter(public_id=run_id).first() if run_id.isalnum() else None
        if run is None:
            raise Http404
        return Response(
            {
                "jobId": project.public_id,
                "jobRunId": run.public_id,
                "status": run.status,
                "startedAt": _told(run.started_at or run.created_at),
                "finishedAt": _told(run.finished_at if run.status != RunStatus.RUNNING else None),
                "error": run.error or None,
                "tasks": [],
            }
        )


def _told(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ParseError('The body must be a JSON object, such as {"status": "finished"}.')
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise ParseError(f"`{name}` must be text.")
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
        raise ParseError(f"`{name}` must be a time in ISO 8601, such as 2026-01-31T08:00:00Z.") from None
