"""`POST /v2/projects/{id}/runs`: an orchestrator reports that a Profiles run has ended.

Body: `{"status": "finished"|"failed", "reference": "…", "finishedAt": "2026-01-31T08:00:00Z"}`, the last two optional.
Answers 201 `{"runId"}`, and 200 with the same id when the reference was reported before. Errors have the API's one
shape, which the exception handler of the settings gives them.
"""

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Permission
from accounts.tokens import TokenIdentity
from projects import access, runs
from projects.runs import ReportRefused


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
