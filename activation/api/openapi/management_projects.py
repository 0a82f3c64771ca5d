"""The operations that set up projects and turn their syncs on, and how one leads to the next."""

from activation.api.openapi.building import Operation, linked, operation, with_headers
from activation.api.openapi.management import CALLED, page_of
from activation.api.openapi.management_schemas import FLAG_SCHEMA, NAME, body
from activation.api.openapi.schemas import Schema, described, nullable, ref, text, whole

_PATH = ("projectId",)
SPECIFICATION = """name: customer_360
schema_version: 88
connection: warehouse
model_folders: [models]
entities:
  - name: user
    id_types: [email]
    feature_views:
      using_ids:
        - {id: email, name: features_by_email}
"""
_FILE = text("The text of pb_project.yaml.")


def paths() -> dict[str, dict[str, Operation]]:
    """Return the operations by path and method."""
    return {
        "/v2/projects": {"get": _projects(), "post": _create()},
        "/v2/projects/{projectId}": {"get": _read(), "patch": _change(), "delete": _delete()},
        "/v2/projects/{projectId}/specification": {"get": _read_specification(), "post": _specify()},
        "/v2/projects/{projectId}/entities": {"get": _entities()},
        "/v2/projects/{projectId}/placements": {"post": _place()},
        "/v2/projects/{projectId}/main-views": {"post": _serve_main_view()},
        "/v2/projects/{projectId}/checks": {"post": _check()},
        "/v2/projects/{projectId}/checks/{checkId}": {"get": _read_check()},
        "/v2/projects/{projectId}/activation": {"get": _state(), "post": _switch()},
    }


def _projects() -> Operation:
    made = operation(
        ("Projects", "listProjects", "List projects"),
        query=CALLED,
        answers={"200": ("A page of projects, by name.", page_of("projects", "Project"))},
        refused=("400",),
    )
    at = {"projectId": "projects/0/id"}
    return linked(made, "200", readProject=at, readActivation=at)


def _create() -> Operation:
    example = {
        "name": "Customer 360",
        "warehouseId": "<warehouse id>",
        "outputSchema": "profiles",
        "specification": SPECIFICATION,
    }
    made = operation(
        ("Projects", "createProject", "Create a project"),
        body=body(
            ("warehouseId", "outputSchema", "specification"),
            name={**NAME, "minLength": 0, "description": "Without it, the name in the file."},
            warehouseId=text(),
            outputSchema=text("The schema that Profiles writes its views to.", minLength=1, maxLength=255),
            specification=_FILE,
            example=example,
        ),
        answers={"201": ("It is created, and `checkId` is the check of its views that was started.", ref("Project"))},
        refused=("400", "409", "413", "422"),
    )
    at = {"projectId": "id"}
    links = dict.fromkeys(
        (
            *("readProject", "changeProject", "readSpecification", "changeSpecification", "listEntities"),
            *("checkProject", "readActivation", "switchActivation", "reportRun", "listProjectSyncs", "deleteProject"),
        ),
        at,
    )
    made = with_headers(made, "201", names=("Location",))
    return linked(made, "201", **links, readProjectCheck={**at, "checkId": "checkId"})


def _read() -> Operation:
    return operation(
        ("Projects", "readProject", "Read a project"),
        path=_PATH,
        answers={"200": ("The project.", ref("Project"))},
        refused=("404",),
    )


def _change() -> Operation:
    return operation(
        ("Projects", "changeProject", "Change a project's name, place or schedule"),
        path=_PATH,
        body=body(
            name=NAME,
            warehouseId=text(),
            outputSchema=text(minLength=1, maxLength=255),
            schedule=ref("Schedule"),
            example={"schedule": {"kind": "basic", "minutes": 60, "start": "03:30"}},
        ),
        answers={"200": ("The project; with `checkId` where its views are looked for elsewhere.", ref("Project"))},
        refused=("400", "404", "409", "413", "422"),
    )


def _delete() -> Operation:
    return operation(
        ("Projects", "deleteProject", "Delete a project that has no profiles in Redis"),
        path=_PATH,
        answers={"204": ("It is deleted.", None)},
        refused=("404", "409"),
    )


def _read_specification() -> Operation:
    return operation(
        ("Projects", "readSpecification", "Read a project's pb_project.yaml"),
        path=_PATH,
        answers={"200": ("The file.", ref("Specification"))},
        refused=("404",),
    )


def _specify() -> Operation:
    flag: Schema = {"enum": ["true", "false"], "default": "false", "description": "Only tell what would change."}
    made = operation(
        ("Projects", "changeSpecification", "Replace a project's pb_project.yaml"),
        path=_PATH,
        query={
            "dry_run": flag,
            "revision": whole("The revision you have seen; refused when the project has another.", maximum=2**31 - 1),
        },
        body=body(("text",), text=_FILE, example={"text": SPECIFICATION}),
        answers={"200": ("What changes.", ref("SpecificationChange"))},
        refused=("400", "404", "409", "413", "422"),
    )
    made["description"] = "The file may also be sent as it is, with the content type `application/yaml`."
    made["requestBody"]["content"]["application/yaml"] = {"schema": {**_FILE, "example": SPECIFICATION}}
    return made


def _entities() -> Operation:
    return operation(
        ("Projects", "listEntities", "Read a project's entities, their views and the views' columns"),
        path=_PATH,
        answers={"200": ("The entities.", ref("Entities"))},
        refused=("404",),
    )


def _place() -> Operation:
    return operation(
        ("Projects", "placeView", "Say where a feature view is in the warehouse"),
        path=_PATH,
        body=body(
            ("view",),
            view=text("A feature view of the specification."),
            relation=nullable(text("One of the project's `relations`; without it, it is looked up by name.")),
            idColumn=nullable(text("One of its columns; without it, the one that is called as the id type.")),
            example={"view": "features_by_email", "relation": "features_by_email_v2", "idColumn": None},
        ),
        answers={"200": ("Where the view is; `checkId` is the check that was started.", ref("View"))},
        refused=("400", "404", "409", "413", "422"),
    )


def _serve_main_view() -> Operation:
    served = "Whether the view by the main id is served too, by an id type that is called like its column."
    return operation(
        ("Projects", "serveMainView", "Serve an entity's main feature view too, or no longer"),
        path=_PATH,
        body=body(
            ("entity", "served"),
            entity=text("An entity of the specification."),
            served=described(FLAG_SCHEMA, served),
            example={"entity": "user", "served": True},
        ),
        answers={
            "200": (
                "The entity; with `checkId`, the check that looks for the view, where something changed.",
                ref("Entity"),
            )
        },
        refused=("400", "404", "409", "413", "422"),
    )


def _check() -> Operation:
    made = operation(
        ("Projects", "checkProject", "Check a project's views and its warehouse"),
        path=_PATH,
        answers={"202": ("The check, which a worker makes.", ref("Check"))},
        refused=("404",),
    )
    return linked(made, "202", readProjectCheck={"projectId": "path.projectId", "checkId": "id"})


def _read_check() -> Operation:
    return operation(
        ("Projects", "readProjectCheck", "Read a check of a project"),
        path=("projectId", "checkId"),
        answers={"200": ("The check, step by step.", ref("Check"))},
        refused=("404",),
    )


def _state() -> Operation:
    made = operation(
        ("Projects", "readActivation", "Read whether a project is synced, and how its syncs stand"),
        path=_PATH,
        answers={"200": ("Its state.", ref("Activation"))},
        refused=("404",),
    )
    at = {"connectionId": "sources/0/connectionId"}
    return linked(made, "200", startSync=at, listSyncs=at)


def _switch() -> Operation:
    return operation(
        ("Projects", "switchActivation", "Turn a project's sync to Redis on or off"),
        path=_PATH,
        body=body(
            ("enabled",),
            enabled=FLAG_SCHEMA,
            destinationId=text("Where to sync to; without it, where it was synced to before."),
            removeProfiles=described(FLAG_SCHEMA, "With `enabled` false: remove the profiles from Redis, too."),
            leaveProfiles=described(
                FLAG_SCHEMA,
                "With `enabled` false: leave the profiles that could not be removed in a Redis that is gone for good.",
            ),
            example={"enabled": True, "destinationId": "<destination id>"},
        ),
        answers={"200": ("Its state.", ref("Activation"))},
        refused=("400", "404", "409", "413", "422"),
    )
