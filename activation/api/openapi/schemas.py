"""What requests and answers hold, as JSON Schema (https://spec.openapis.org/oas/v3.1.1.html)."""

from typing import Any

from activation.api import bodies, options
from activation.models import RunState, SyncRun

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Describe an object by its members, some of them required."""
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def described(schema: Schema, about: str) -> Schema:
    """Say in words what a schema is."""
    return {**schema, "description": about}


def text(about: str = "", **more: Any) -> Schema:
    """Describe a text."""
    return {"type": "string", **({"description": about} if about else {}), **more}


def whole(about: str = "", *, null: bool = False, **more: Any) -> Schema:
    """Describe a whole number, at least 0."""
    kind: Any = ["integer", "null"] if null else "integer"
    return {"type": kind, "minimum": 0, **({"description": about} if about else {}), **more}


def nullable(schema: Schema) -> Schema:
    """Allow null beside a schema with a plain type."""
    return {**schema, "type": [schema["type"], "null"]}


TIME = text("ISO 8601 in UTC, with milliseconds.", format="date-time")
NAME = text(minLength=1)
NAMES: Schema = {"type": "array", "items": NAME, "maxItems": options.MAX_NAMES}

ID = obj(
    ("type", "value"),
    type=text("The id type, such as email.", minLength=1),
    value={"type": ["string", "integer"], "description": f"At most {bodies.MAX_ID_BYTES:,} bytes, not blank."},
)
ASKED = {
    "entity": text("Such as user.", minLength=1),
    "destinationId": text("The Redis destination's id, from its page."),
}
OPTIONS = {
    "views": {**NAMES, "description": "Answer these feature views only."},
    "traits": {
        "type": "object",
        "minProperties": 1,
        "maxProperties": options.MAX_NAMES,
        "additionalProperties": NAMES,
        "description": "Columns to answer of a feature view; without `views` only the views named here are answered.",
    },
    "include": {
        "type": "array",
        "items": {"enum": list(options.INCLUDES)},
        "maxItems": options.MAX_NAMES,
        "description": "Facts to add. `diagnosis` is not for batches.",
    },
    "maxAgeSeconds": whole("Mark feature views that were synced longer ago.", maximum=options.MAX_AGE),
}
DATA: Schema = {
    "type": "object",
    "description": "Feature view → its columns, with the very text that Redis holds. Empty when there is no profile.",
}
FRESHNESS: Schema = {
    "type": "object",
    "additionalProperties": obj(
        ("syncedAt", "ageSeconds", "syncRunId"),
        syncedAt=TIME,
        ageSeconds=whole(),
        syncRunId=text(),
        stale={"type": "boolean", "description": "Whether it is older than `maxAgeSeconds`."},
    ),
}
DIAGNOSIS = obj(
    ("code", "message"),
    code={"enum": ["found", "unknown_entity", "unknown_id_type", "view_not_synced", "suppressed", "id_not_found"]},
    message=text("For people."),
    known={"type": "array", "items": text(), "description": "Names that would have been right."},
    invalid={"type": "array", "items": text(), "description": "Feature views that hold no JSON and were left out."},
)
PROFILE = obj(
    ("entity", "id", "data"),
    entity=text(),
    id=ref("Id"),
    data=DATA,
    freshness=FRESHNESS,
    diagnosis=ref("Diagnosis"),
)
RESULT = obj(
    ("id", "status"),
    id={"anyOf": [ref("Id"), {"type": "null"}], "description": "As it was sent; null for an item that is invalid."},
    status={"enum": ["found", "not_found", "invalid", "unavailable"]},
    data=DATA,
    freshness=FRESHNESS,
    error=text("What is wrong with an item that is invalid or unavailable."),
)
ERROR = obj(
    ("error", "code"),
    error=text("For people."),
    code=text("For programs; see the errors."),
    message=text("On DELETE the same text once more."),
    receiptId=text("Of a cascading delete that goes on by itself."),
)
NOT_LOOKED_AT = obj(
    ("connectionId", "idType", "view", "code", "reason"),
    connectionId=text("The source."),
    idType=text(),
    view=text(),
    code=text("`never_synced`, `no_main_id`, or what the warehouse said."),
    reason=text("For people."),
)
DELETION = obj(
    (
        *("receiptId", "status", "entity", "destinationId", "requestedAt", "finishedAt"),
        *("idsFound", "actualKeys", "deletedKeys", "notLookedAt", "errorCode", "error"),
    ),
    receiptId=text(),
    status={"enum": ["running", "finished", "failed"]},
    entity=text(),
    destinationId=text(),
    requestedAt=TIME,
    finishedAt=nullable(TIME),
    idsFound=whole("Ids beyond those that were named."),
    actualKeys=whole("Keys that were addressed, those of the ids that were named too."),
    deletedKeys=whole("Those that were there and are gone."),
    notLookedAt={"type": "array", "items": NOT_LOOKED_AT, "description": "Sources that could not be looked at."},
    errorCode=nullable(text()),
    error=nullable(text()),
)
REFUSAL = obj(
    ("error", "code"),
    **ERROR["properties"],
    fields={
        "type": "object",
        "additionalProperties": text(),
        "description": "What is wrong with each member, by its path, such as `settings.address`.",
    },
    problems={
        "type": "array",
        "items": obj(("line", "column", "message"), line=whole(), column=whole(), message=text()),
        "description": "What is wrong with a pb_project.yaml, and where.",
    },
    probe=ref("Probe"),
)
_METRIC = obj(("total",), total=whole())
SYNC = obj(
    ("id", "status", "startedAt", "finishedAt", "error", "metrics"),
    id=text(),
    status={"enum": ["running", "succeeded", "failed"]},
    startedAt=TIME,
    finishedAt=nullable(TIME),
    error=nullable(text()),
    metrics=obj(
        ("succeeded", "failed", "changed", "total"), succeeded=_METRIC, failed=_METRIC, changed=_METRIC, total=whole()
    ),
)
PAGING = obj(("total", "next"), total=whole(), next=nullable(text("The address of the next page.")))
_COUNTS = (
    *("inView", "toWrite", "toDelete", "unchanged", "written", "deleted", "suppressed", "failed"),
    *("withoutId", "duplicates", "contradicting", "kept"),
)
PROJECT_SYNC = obj(
    ("id", "connectionId", "entity", "idType", "view", "state", "kind", "queuedAt", "rows"),
    id=text(),
    connectionId=text("The source."),
    entity=text(),
    idType=text(),
    view=text(),
    state={"enum": list(RunState.values)},
    kind={"enum": list(SyncRun.Kind.values)},
    fullReason=nullable(text("Why the sync is full.")),
    trigger={"enum": list(SyncRun.Trigger.values)},
    runId=nullable(text("The newest Profiles run that it covers.")),
    queuedAt=TIME,
    snapshotAt=nullable(TIME),
    loadingAt=nullable(TIME),
    finishingAt=nullable(TIME),
    finishedAt=nullable(TIME),
    errorCode=nullable(text()),
    error=nullable(text()),
    rows=obj(**{name: whole(null=True) for name in _COUNTS}),
)
PROFILES_RUN = obj(
    ("jobId", "jobRunId", "status", "startedAt", "finishedAt", "error", "tasks"),
    jobId=text("The project."),
    jobRunId=text(),
    status={"enum": ["running", "finished", "failed"]},
    startedAt=nullable(TIME),
    finishedAt=nullable(TIME),
    error=nullable(text()),
    tasks={"type": "array", "maxItems": 0},
)
STARTED_RUN = obj(("runId",), runId=text())
AUDIT_EVENT = obj(
    ("id", "at", "person", "token", "action", "target", "targetType", "targetId", "details", "address"),
    id=text(),
    at=TIME,
    person=text("Who, by e-mail address; or the product itself."),
    token=nullable(text("The name of the token they acted by.")),
    action=text(example="member_removed"),
    target=nullable(text("What it was done to, by the name it had.")),
    targetType=text(example="member"),
    targetId=nullable(text()),
    details={"type": "object", "description": "Counts, names and settings; never a secret, a trait or an id."},
    address=nullable(text("The IP address it came from.")),
)

ALL: dict[str, Schema] = {
    "Id": described(ID, "An id of a person. A whole number is read as its decimal text."),
    "Profile": PROFILE,
    "Diagnosis": DIAGNOSIS,
    "BatchResult": RESULT,
    "Error": ERROR,
    "Refusal": REFUSAL,
    "Deletion": described(DELETION, "The receipt of a cascading delete; it never holds an id."),
    "Sync": described(SYNC, "A sync in the hosted product's shape."),
    "Paging": PAGING,
    "ProjectSync": PROJECT_SYNC,
    "ProfilesRun": PROFILES_RUN,
    "StartedRun": STARTED_RUN,
    "AuditEvent": AUDIT_EVENT,
}
