"""Checks of a warehouse, or of a project's views in it: start one, and see how far it is, step by step."""

from typing import Any

from django.http import Http404, HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.roles import Permission
from activation.api.managing import ACCEPTED, answer
from activation.api.reached import project_for, warehouse_for
from activation.api.requests import ApiView, identity_of
from activation.api.times import as_text
from projects import checks, tasks
from projects.models import Project, Warehouse, WarehouseCheck


class WarehouseChecksView(ApiView):
    """`POST /v2/warehouses/{id}/checks` → 202, the check."""

    http_method_names = ["post"]

    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Start a check of a warehouse."""
        warehouse = warehouse_for(identity_of(request), warehouse_id, Permission.MANAGE_CREDENTIALS)
        check = start(warehouse, by=identity_of(request).actor)
        return answer(told(check), status=ACCEPTED, at=f"{request.path}/{check.public_id}")


class WarehouseCheckView(ApiView):
    """`GET /v2/warehouses/{id}/checks/{checkId}` → the check."""

    http_method_names = ["get"]

    def get(self, request: Request, warehouse_id: str, check_id: str) -> HttpResponse:
        """Tell how far a check is."""
        warehouse = warehouse_for(identity_of(request), warehouse_id, Permission.VIEW)
        return answer(told(_found(warehouse.checks.filter(project=None, public_id=possible(check_id)).first())))


class ProjectChecksView(ApiView):
    """`POST /v2/projects/{id}/checks` → 202, the check."""

    http_method_names = ["post"]

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Start a check of a project's views and its warehouse."""
        project = project_for(identity_of(request), project_id, Permission.EDIT_PROJECTS)
        check = start(project.warehouse, project=project, by=identity_of(request).actor)
        return answer(told(check), status=ACCEPTED, at=f"{request.path}/{check.public_id}")


class ProjectCheckView(ApiView):
    """`GET /v2/projects/{id}/checks/{checkId}` → the check."""

    http_method_names = ["get"]

    def get(self, request: Request, project_id: str, check_id: str) -> HttpResponse:
        """Tell how far a check is."""
        project = project_for(identity_of(request), project_id, Permission.VIEW)
        return answer(told(_found(project.checks.filter(public_id=possible(check_id)).first())))


def start(warehouse: Warehouse, *, project: Project | None = None, by: Actor) -> WarehouseCheck:
    """Ask for a check and wake a worker for it."""
    check = checks.request_check(warehouse, project=project, by=by, now=timezone.now())
    tasks.wake(check)
    return check


def told(check: WarehouseCheck) -> dict[str, Any]:
    """Tell how far a check is; a failed step says what is wrong and what to do."""
    return {
        "id": check.public_id,
        "state": check.state,
        "steps": steps_told(check.steps),
        "createdAt": as_text(check.created_at),
        "startedAt": as_text(check.started_at),
        "finishedAt": as_text(check.finished_at),
    }


def steps_told(steps: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Tell the steps of a check or a connection test."""
    return [
        {
            "name": step["name"],
            "state": step["state"],
            "message": step.get("message") or None,
            "cure": step.get("cure") or None,
        }
        for step in steps
    ]


def possible(public_id: str) -> str:
    """Return an id that the database can be asked about. Raises `Http404`."""
    if not public_id.isalnum():
        raise Http404
    return public_id


def _found(check: WarehouseCheck | None) -> WarehouseCheck:
    if check is None:
        raise Http404
    return check
