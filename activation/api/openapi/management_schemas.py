"""What requests and answers of the calls that set things up hold, as JSON Schema."""

from typing import Any, cast

from django import forms

from activation.api import servers, timetables
from activation.api.fields import FLAG, TEXT, TEXT_OR_NULL, WHOLE, WHOLE_OR_NULL, Kind, Members
from activation.api.openapi.schemas import TIME, Schema, described, nullable, obj, ref, text, whole
from activation.models import DestinationProbe, RunState, Source
from activation.server_form import ServerForm
from activation.timetables import INTERVALS
from projects.forms import CONNECTION_FORMS, DuckDBForm, PostgreSQLForm
from projects.models import CheckState

_KINDS: dict[Kind, Any] = {
    TEXT: {"type": "string"},
    TEXT_OR_NULL: {"type": ["string", "null"]},
    FLAG: {"type": "boolean"},
    WHOLE: {"type": "integer"},
    WHOLE_OR_NULL: {"type": ["integer", "null"]},
}
FLAG_SCHEMA: Schema = {"type": "boolean"}
NAME = text(minLength=1, maxLength=100)
_NAMES: Schema = {"type": "array", "items": text()}


def body(required: tuple[str, ...] = (), /, *, example: Any, **members: Schema) -> Schema:
    """Describe a body of these members and no others, with an example."""
    return {**obj(required, **members), "additionalProperties": False, "example": example}


def of_members(members: Members, fields: dict[str, forms.Field] | None = None) -> Schema:
    """Describe an object of members as the API reads them, in the words of the page's form where there is one."""
    properties: dict[str, Schema] = {}
    for name, kind in members.items():
        field = (fields or {}).get(name)
        about = str(field.help_text) if field is not None and field.help_text else ""
        properties[name] = (
            {**_KINDS[kind], **({"description": about} if about else {})}
            if isinstance(kind, Kind)
            else of_members(kind)
        )
    return {**obj(**properties), "additionalProperties": False}


_NOT_SETTINGS = {"name", "password"}
_CONNECTION_FIELDS: dict[str, forms.Field] = {
    name: field
    for form in CONNECTION_FORMS.values()
    for name, field in form.base_fields.items()
    if name not in _NOT_SETTINGS
}


def _of_field(field: forms.Field) -> Schema:
    if isinstance(field, forms.IntegerField):
        return whole(str(field.help_text))
    if isinstance(field, forms.ChoiceField):
        return {"enum": list(dict(cast("list[tuple[str, str]]", field.choices))), "description": str(field.help_text)}
    return text(str(field.help_text))


CONNECTION_SETTINGS = described(
    {
        **obj(**{name: _of_field(field) for name, field in _CONNECTION_FIELDS.items()}),
        "additionalProperties": False,
    },
    f"For duckdb: {', '.join(name for name in DuckDBForm.base_fields if name not in _NOT_SETTINGS)}. "
    f"For postgresql: {', '.join(name for name in PostgreSQLForm.base_fields if name not in _NOT_SETTINGS)}.",
)
CONNECTION_CREDENTIALS: Schema = {
    **obj(password=text("Taken and never told.", writeOnly=True)),
    "additionalProperties": False,
}
SERVER_SETTINGS = of_members(servers.SETTINGS, dict(ServerForm.base_fields))
SERVER_CREDENTIALS = described(of_members(servers.MEMBERS["credentials"]), "Taken and never told.")  # type: ignore[arg-type]  # members
SERVER_CREDENTIAL_CHANGES = described(
    of_members(servers.CHANGES["credentials"]),  # type: ignore[arg-type]  # members
    "Taken and never told. What is left out stays; null takes a secret away.",
)
SCHEDULE = {
    **obj(
        ("kind",),
        kind={"enum": ["profiles", "basic", "cron", "manual"]},
        minutes={"enum": list(INTERVALS), "description": "For basic."},
        start=nullable(text("For basic: a time of day in UTC, such as 03:30.")),
        expression=text("For cron: five fields, in UTC."),
    ),
    "description": "After each Profiles run, at an interval, at the times of an expression, or by hand.",
}
assert set(timetables.MEMBERS) == set(SCHEDULE["properties"])

WAREHOUSE = obj(
    ("id", "name", "kind", "settings", "credentialsSet", "checkedAt", "checkPassed", "createdAt"),
    id=text(),
    name=text(),
    kind={"enum": list(CONNECTION_FORMS)},
    settings={"type": "object"},
    credentialsSet=described(_NAMES, "Which secrets are stored."),
    checkedAt=nullable(TIME),
    checkPassed=nullable(FLAG_SCHEMA),
    createdAt=TIME,
    checkId=text("The check that this call started."),
)
STEP = obj(
    ("name", "state", "message", "cure"),
    name=text(),
    state={"enum": ["passed", "failed", "not_reached", "skipped"]},
    message=nullable(text()),
    cure=nullable(text("What to do.")),
)
_STEPS: Schema = {"type": "array", "items": ref("Step"), "description": "As far as they are known."}
CHECK = obj(
    ("id", "state", "steps", "createdAt", "startedAt", "finishedAt"),
    id=text(),
    state={"enum": list(CheckState.values)},
    steps=_STEPS,
    createdAt=TIME,
    startedAt=nullable(TIME),
    finishedAt=nullable(TIME),
)
PROBE = obj(
    ("id", "purpose", "state", "steps", "problem", "destinationId", "createdAt", "startedAt", "finishedAt"),
    id=text(),
    purpose={"enum": list(DestinationProbe.Purpose.values)},
    state={"enum": list(DestinationProbe.State.values)},
    steps=_STEPS,
    problem=nullable(text("Why what it was asked for was not done, though its steps passed.")),
    destinationId=nullable(text("The destination that it is about, or that it connected.")),
    createdAt=TIME,
    startedAt=nullable(TIME),
    finishedAt=nullable(TIME),
)
DESTINATION = obj(
    ("id", "workspaceId", "name", "settings", "credentialsSet", "rowsPerSecond", "createdAt"),
    id=text(),
    workspaceId=text("The first part of every key."),
    name=text(),
    settings={"type": "object"},
    credentialsSet=described(_NAMES, "Which secrets are stored."),
    rowsPerSecond=whole("All syncs together write no faster; null: no limit.", null=True),
    createdAt=TIME,
)
PROJECT = obj(
    ("id", "name", "warehouseId", "outputSchema", "revision", "entities", "enabled", "destinationId", "createdAt"),
    id=text(),
    name=text(),
    warehouseId=text(),
    outputSchema=text("The schema that Profiles writes its views to."),
    revision=whole("Grows when the specification or its place changes."),
    entities=_NAMES,
    enabled=FLAG_SCHEMA,
    destinationId=nullable(text("Where it syncs to, or did.")),
    schedule={"anyOf": [ref("Schedule"), {"type": "null"}]},
    nextSyncAt=nullable(TIME),
    createdAt=TIME,
    checkId=text("The check that this call started."),
)
SPECIFICATION = obj(("text", "revision"), text=text("The text of pb_project.yaml."), revision=whole())
_SERVED = obj(("entity", "idType", "view"), entity=text(), idType=text(), view=text())
CHANGE = obj(
    ("changed", "applied", "revision", "checkId", "added", "ended", "diff"),
    changed=described(FLAG_SCHEMA, "Whether the text is another one."),
    applied=described(FLAG_SCHEMA, "Whether it was stored."),
    revision=whole(),
    checkId=nullable(text("The check that this call started.")),
    added={"type": "array", "items": _SERVED, "description": "Feature views that come to be served."},
    ended={"type": "array", "items": _SERVED, "description": "Feature views that are not served any more."},
    diff=nullable(text("The lines that change, as a unified diff; null for long texts.")),
)
VIEW = obj(
    ("name", "idType", "schema", "relation", "idColumn", "columns"),
    name=text(),
    idType=text(),
    schema=nullable(text()),
    relation=nullable(text("The view or table in the warehouse; null while it is not found.")),
    idColumn=nullable(text()),
    columns={"type": ["array", "null"], "items": text()},
    checkId=text("The check that this call started."),
)
ENTITY = obj(
    ("name", "idTypes", "mainView", "mainIdColumn", "mainViewServed", "views"),
    name=text(),
    idTypes=described(_NAMES, "Those of the file."),
    mainView=text("The feature view by the entity's main id."),
    mainIdColumn=text("The column of the main id, and its id type where the main view is served."),
    mainViewServed=described(FLAG_SCHEMA, "Whether the main view is served too."),
    views={"type": "array", "items": ref("View"), "description": "Those that are served."},
    checkId=text("The check that this call started."),
)
ENTITIES = obj(
    ("entities", "missing", "relations"),
    entities={"type": "array", "items": ref("Entity")},
    missing={
        "type": ["object", "null"],
        "properties": {"message": text(), "yaml": text("What to add to pb_project.yaml.")},
        "description": "Why nothing can be served, where that is so.",
    },
    relations=described(_NAMES, "What the output schema holds, to choose from."),
)
PRECONDITION = obj(
    ("point", "name", "met", "pending", "message", "cure", "call", "yaml", "views", "at"),
    point={"enum": ["profiles_run", "feature_views", "places", "grants"]},
    name=text(),
    met=FLAG_SCHEMA,
    pending=described(FLAG_SCHEMA, "Whether it is being found out just now."),
    message=text(),
    cure=nullable(text("What to do.")),
    call=nullable(text("The call by which it is met.")),
    yaml=nullable(text("What to add to pb_project.yaml.")),
    views=_NAMES,
    at=nullable(TIME),
)
_LEVEL = {"enum": ["ok", "working", "attention", "failed", "neutral"]}
SOURCE_STATE = obj(
    ("connectionId", "entity", "idType", "view", "status", "state", "profiles", "syncId", "syncState", "syncedAt"),
    connectionId=text(),
    entity=text(),
    idType=text(),
    view=text(),
    status={"enum": list(Source.Status.values)},
    state=obj(("level", "words"), level=_LEVEL, words=text()),
    profiles=whole("In Redis, as of the last good sync."),
    syncId=nullable(text("The newest sync.")),
    syncState={"enum": [*RunState.values, None]},
    syncedAt=nullable(TIME),
    ageSeconds=whole("Since the last good sync.", null=True),
    dueSince=nullable(TIME),
)
ACTIVATION = obj(
    ("enabled", "destinationId", "ready", "preconditions", "state", "schedule", "nextSyncAt", "sources"),
    enabled=FLAG_SCHEMA,
    destinationId=nullable(text()),
    ready=described(FLAG_SCHEMA, "Whether it can be turned on."),
    preconditions={"type": "array", "items": ref("Precondition")},
    state={
        "type": ["object", "null"],
        "properties": {"level": _LEVEL, "words": text(), "profiles": whole()},
        "description": "The worst of its sources; null before it was ever turned on.",
    },
    schedule={"anyOf": [ref("Schedule"), {"type": "null"}]},
    nextSyncAt=nullable(TIME),
    sources={"type": "array", "items": ref("SourceState")},
)

ALL: dict[str, Schema] = {
    "Warehouse": WAREHOUSE,
    "Step": STEP,
    "Check": described(CHECK, "A check of a warehouse, or of a project's views."),
    "Probe": described(PROBE, "A connection test of a Redis."),
    "PendingProbe": obj(("probe",), probe=ref("Probe")),
    "Destination": DESTINATION,
    "Project": PROJECT,
    "Schedule": SCHEDULE,
    "Specification": SPECIFICATION,
    "SpecificationChange": CHANGE,
    "View": VIEW,
    "Entity": ENTITY,
    "Entities": ENTITIES,
    "Precondition": PRECONDITION,
    "SourceState": SOURCE_STATE,
    "Activation": ACTIVATION,
}
