"""A project's `pb_project.yaml` and what it serves: read and replace the file, see its entities, place its views."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.roles import Permission
from activation.api import checks, fields
from activation.api.bodies import BodyInvalid
from activation.api.fields import FLAG, TEXT, TEXT_OR_NULL
from activation.api.managing import answer
from activation.api.problems import FieldsInvalid
from activation.api.projects import MAX_BODY_BYTES
from activation.api.reached import of_specification, project_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from projects import differences, main_views, pb_project, placements, projects
from projects.differences import Difference, Served
from projects.main_views import EntityUnknown, MainViewRefused
from projects.models import Project
from projects.placements import ChoiceUnknown, ServedView
from projects.specification import Entity, from_plain, missing_feature_views
from projects.yaml_document import decode

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_LARGEST_REVISION = 2**31 - 1


class SpecificationView(ApiView):
    """`GET /v2/projects/{id}/specification` → `{"text", "revision"}`; `POST` replaces the text.

    The text comes as JSON, or as it is with a content type of YAML.
    """

    http_method_names = ["get", "post"]

    def get(self, request: Request, project_id: str) -> HttpResponse:
        """Answer with the file."""
        project = project_for(identity_of(request), project_id, Permission.VIEW)
        return answer({"text": project.specification_text, "revision": project.specification_revision})

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Replace the file, start a check of its views, and tell what changes; with `dry_run`, only tell."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.EDIT_PROJECTS)
        trial, revision = _flag(request, "dry_run"), _revision(request, project)
        text = _text(request)
        wanted = pb_project.read(text)
        require(identity, Permission.EDIT_PROJECTS, **of_specification(wanted))
        difference = differences.of(project, wanted, text)
        changes = text != project.specification_text
        check = None
        if changes and not trial:
            projects.edit_specification(project, text=text, revision=revision, by=identity.actor, now=timezone.now())
            check = checks.start(project.warehouse, project=project, by=identity.actor)
        return answer(
            {
                "changed": changes,
                "applied": check is not None,
                "revision": project.specification_revision,
                "checkId": check.public_id if check else None,
                **_difference(difference),
            }
        )


class EntitiesView(ApiView):
    """`GET /v2/projects/{id}/entities` → the entities, where their views are, and which columns those have."""

    http_method_names = ["get"]

    def get(self, request: Request, project_id: str) -> HttpResponse:
        """Answer with the entities."""
        project = project_for(identity_of(request), project_id, Permission.VIEW)
        specification = from_plain(project.specification)
        views = placements.served_views(project)
        missing = missing_feature_views(specification, project.main_views)
        told = {
            "entities": [_entity(project, entity, views) for entity in specification.entities],
            "missing": {"message": missing.message, "yaml": missing.yaml} if missing else None,
            "relations": project.catalogue.get("relations", []),
        }
        return answer(told)


class PlacementsView(ApiView):
    """`POST /v2/projects/{id}/placements` `{"view", "relation", "idColumn"}`: says where a view is."""

    http_method_names = ["post"]

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Choose among the names of the catalogue, and start a check; without a name it is looked up."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.EDIT_PROJECTS)
        members = {"view": TEXT, "relation": TEXT_OR_NULL, "idColumn": TEXT_OR_NULL}
        body = fields.read(raw_body(request), members, required=("view",))
        relation, column = body.get("relation") or "", body.get("idColumn") or ""
        try:
            placements.choose(
                project, body["view"], relation=relation, id_column=column, by=identity.actor, now=timezone.now()
            )
        except ChoiceUnknown as error:
            at = {body["view"]: "view", relation: "relation"}.get(error.name, "idColumn")
            raise FieldsInvalid({at: str(error) if at != "view" else "No feature view is called so."}) from None
        check = checks.start(project.warehouse, project=project, by=identity.actor)
        [view] = [each for each in placements.served_views(project) if each.feature_view == body["view"]]
        return answer({**_view(project, view), "checkId": check.public_id})


class MainViewsView(ApiView):
    """`POST /v2/projects/{id}/main-views` `{"entity", "served"}`: serves an entity's main view too, or no longer."""

    http_method_names = ["post"]

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Switch it and start a check, which finds the view; what is so already is left as it is."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.EDIT_PROJECTS)
        body = fields.read(raw_body(request), {"entity": TEXT, "served": FLAG}, required=("entity", "served"))
        name, served = body["entity"], body["served"]
        try:
            changed = projects.serve_main_view(project, name, served=served, by=identity.actor, now=timezone.now())
        except (EntityUnknown, MainViewRefused) as error:
            raise FieldsInvalid({"entity": str(error)}) from None
        entity = main_views.entity_of(from_plain(project.specification), name)
        told = _entity(project, entity, placements.served_views(project))
        if changed:
            told["checkId"] = checks.start(project.warehouse, project=project, by=identity.actor).public_id
        return answer(told)


def _text(request: Request) -> str:
    """Read the text of a file. Raises `BodyInvalid`, `BodyTooLarge`, `FieldsInvalid`, `SpecificationProblems`."""
    raw = raw_body(request, most=MAX_BODY_BYTES)
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type in YAML_TYPES:
        text = decode(raw)
    else:
        body = fields.object_in(raw, most=MAX_BODY_BYTES)
        text = str(fields.checked(body, {"text": TEXT}, required=("text",))["text"])
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _flag(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "false")
    if given not in {"true", "false"}:
        raise BodyInvalid(f"{name} must be true or false.")
    return given == "true"


def _revision(request: Request, project: Project) -> int:
    """Return the revision that the caller has seen; without one, the present one."""
    given = request.query_params.get("revision")
    if given is None:
        return project.specification_revision
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(_LARGEST_REVISION))):
        raise BodyInvalid("revision must be a whole number.")
    return min(int(given), _LARGEST_REVISION)


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "added": [_served(view) for view in difference.added],
        "ended": [_served(view) for view in difference.ended],
        "diff": difference.lines,
    }


def _served(view: Served) -> dict[str, str]:
    return {"entity": view.entity, "idType": view.id_type, "view": view.view}


def _entity(project: Project, entity: Entity, views: list[ServedView]) -> dict[str, Any]:
    return {
        "name": entity.name,
        "idTypes": list(entity.id_types),
        "mainView": entity.main_view,
        "mainIdColumn": entity.id_column_name,
        "mainViewServed": entity.name in project.main_views,
        "views": [_view(project, view) for view in views if view.entity == entity.name],
    }


def _view(project: Project, view: ServedView) -> dict[str, Any]:
    return {
        "name": view.feature_view,
        "idType": view.id_type,
        "schema": view.relation.schema if view.relation else None,
        "relation": view.relation.name if view.relation else None,
        "idColumn": view.id_column,
        "columns": project.catalogue.get("columns", {}).get(view.feature_view),
    }
