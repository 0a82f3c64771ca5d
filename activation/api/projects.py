"""`/v2/projects`: create, read, change and delete Profiles projects, and say when they are synced."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import schedules
from activation.api import checks, fields, timetables
from activation.api.fields import TEXT, Members
from activation.api.managing import CREATED, answer, gone, listed
from activation.api.problems import FieldsInvalid, Problem, Refusal
from activation.api.reached import lets, of_projects, of_specification, project_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from activation.models import Activation
from projects import access, pb_project, projects
from projects.forms import GeneralForm, NewProjectForm
from projects.models import Project, Warehouse
from projects.yaml_document import MAX_BYTES

# A file of the largest size with as many line breaks and quotes as a file has; JSON writes each as two bytes.
MAX_BODY_BYTES = 2 * MAX_BYTES
_PATHS = {"warehouse": "warehouseId", "output_schema": "outputSchema", "text": "specification"}
_CHANGEABLE: Members = {"name": TEXT, "warehouseId": TEXT, "outputSchema": TEXT, "schedule": timetables.MEMBERS}
_NOT_SCHEDULED = Problem(
    409,
    "never_enabled",
    "The sync of this project was never turned on, so there is nothing to schedule. Turn it on first.",
)


class ProjectsView(ApiView):
    """`GET /v2/projects?name=` → `{"projects", "paging"}`; `POST` creates one → 201."""

    http_method_names = ["get", "post"]

    def get(self, request: Request) -> HttpResponse:
        """List the organisation's projects that the token may see."""
        identity = identity_of(request)
        require(identity, Permission.VIEW)
        seen = [project.pk for project in _seen(identity)]
        found = Project.objects.filter(pk__in=seen).select_related("warehouse", "activation__destination")
        return listed(request, "projects", found, told)

    def post(self, request: Request) -> HttpResponse:
        """Create a project from the text of its `pb_project.yaml`, and start a check of its views."""
        identity = identity_of(request)
        require(identity, Permission.EDIT_PROJECTS)
        members = {"name": TEXT, "warehouseId": TEXT, "outputSchema": TEXT, "specification": TEXT}
        body = fields.object_in(raw_body(request, most=MAX_BODY_BYTES), most=MAX_BODY_BYTES)
        fields.checked(body, members, required=("warehouseId", "outputSchema", "specification"))
        warehouse = _warehouse(identity.actor, body["warehouseId"])
        typed = {
            "name": body.get("name", ""),
            "warehouse": warehouse.pk,
            "output_schema": body["outputSchema"],
            "text": body["specification"],
        }
        asked = fields.judge(NewProjectForm(typed, warehouses=[warehouse]), _PATHS).cleaned_data
        require(identity, Permission.EDIT_PROJECTS, **of_specification(pb_project.read(asked["text"])))
        project = projects.create(
            name=asked["name"],
            warehouse=warehouse,
            output_schema=asked["output_schema"],
            specification_text=asked["text"],
            by=identity.actor,
            now=timezone.now(),
        )
        check = checks.start(warehouse, project=project, by=identity.actor)
        at = f"{request.path}/{project.public_id}"
        return answer({**told(project), "checkId": check.public_id}, status=CREATED, at=at)


class ProjectView(ApiView):
    """`/v2/projects/{id}`: read, change and delete a project."""

    http_method_names = ["get", "patch", "delete"]

    def get(self, request: Request, project_id: str) -> HttpResponse:
        """Tell what a project is."""
        return answer(told(project_for(identity_of(request), project_id, Permission.VIEW)))

    def patch(self, request: Request, project_id: str) -> HttpResponse:
        """Change what the body names, all of it or nothing; another place of the views is checked."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.EDIT_PROJECTS)
        body = fields.read(raw_body(request), _CHANGEABLE)
        before = (project.warehouse_id, project.output_schema)
        with transaction.atomic():
            _change(project, body, by=identity.actor)
            _schedule(project, body, by=identity.actor)
        changed = told(project)
        if (project.warehouse_id, project.output_schema) != before:
            changed["checkId"] = checks.start(project.warehouse, project=project, by=identity.actor).public_id
        return answer(changed)

    def delete(self, request: Request, project_id: str) -> HttpResponse:
        """Delete a project that has no profiles in Redis."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.DELETE_THINGS)
        projects.delete(project, by=identity.actor, now=timezone.now())
        return gone()


def told(project: Project) -> dict[str, Any]:
    """Tell what a project is, and whether and when it is synced."""
    activation: Activation | None = getattr(project, "activation", None)
    return {
        "id": project.public_id,
        "name": project.name,
        "warehouseId": project.warehouse.public_id,
        "outputSchema": project.output_schema,
        "revision": project.specification_revision,
        "entities": [entity["name"] for entity in project.specification.get("entities", ())],
        "enabled": activation is not None and activation.enabled,
        "destinationId": activation.destination.public_id if activation else None,
        "schedule": timetables.told(activation) if activation else None,
        "nextSyncAt": as_text(activation.next_sync_at) if activation else None,
        "createdAt": as_text(project.created_at),
    }


def _seen(identity: TokenIdentity) -> list[Project]:
    found = access.projects_of(identity.actor)
    if not identity.limits.keys() & {"destinations", "entities"}:
        return found
    return [project for project in found if lets(identity, Permission.VIEW, **of_projects([project]))]


def _warehouse(by: Actor, public_id: str) -> Warehouse:
    found = Warehouse.objects.filter(organisation=by.organisation, public_id=public_id).first()
    if found is None:
        raise FieldsInvalid({"warehouseId": "Your organisation has no warehouse with this id."})
    return found


def _change(project: Project, body: dict[str, Any], *, by: Actor) -> None:
    warehouse = _warehouse(by, body["warehouseId"]) if "warehouseId" in body else project.warehouse
    typed = {
        "name": body.get("name", project.name),
        "warehouse": warehouse.pk,
        "output_schema": body.get("outputSchema", project.output_schema),
    }
    asked = fields.judge(GeneralForm(typed, warehouses=[warehouse]), _PATHS).cleaned_data
    projects.change(
        project,
        name=asked["name"],
        warehouse=warehouse,
        output_schema=asked["output_schema"],
        by=by,
        now=timezone.now(),
    )


def _schedule(project: Project, body: dict[str, Any], *, by: Actor) -> None:
    if "schedule" not in body:
        return
    activation = Activation.objects.filter(project=project).select_related("project", "destination").first()
    if activation is None:
        raise Refusal(_NOT_SCHEDULED)
    now = timezone.now()
    wanted = timetables.asked_for(body["schedule"], present=schedules.of(activation), now=now)
    schedules.change(activation, wanted, by=by, now=now)
    project.activation = activation
