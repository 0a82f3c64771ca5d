"""Examples of what is sent and answered: made from the schemas, and from names where a schema does not tell."""

from typing import Any

from activation.api.openapi.schemas import Schema

_ID = "3MWm7Qd0kTzXo1VbYc5NfGhJ2aR"
_RUN = "3MWn1Bc8pLqUe4RtSvWx6YzA9dK"
_TIME = "2026-03-10T10:00:01.500Z"
_TRAITS = {"features_by_email": {"PLAN": "pro", "VISITS": 40}}
# By the member's name; objects and lists too, where their schema leaves open what they hold.
_BY_NAME: dict[str, Any] = {
    "data": _TRAITS,
    "freshness": {"features_by_email": {"syncedAt": _TIME, "ageSeconds": 62, "syncRunId": _RUN, "stale": False}},
    "entity": "user",
    "type": "email",
    "value": "jane@example.com",
    "idType": "email",
    "idTypes": ["email"],
    "view": "features_by_email",
    "idColumn": "email",
    "mainView": "user_feature_view",
    "mainIdColumn": "user_main_id",
    "columns": ["user_main_id", "email", "PLAN", "VISITS"],
    "relation": "features_by_email",
    "relations": ["features_by_email", "user_feature_view"],
    "schema": "profiles",
    "outputSchema": "profiles",
    "point": "profiles_run",
    "yaml": None,
    "call": None,
    "missing": None,
    "settings": {"address": "redis.example.com:6379"},
    "credentialsSet": ["password"],
    "digest": "5f0c1d2e3b4a",
    "requestedBy": "ada@example.com",
    "person": "ada@example.com",
    "token": "Nightly job",
    "action": "member_removed",
    "target": "bob@example.com",
    "details": {"role": "viewer"},
    "address": "192.0.2.7",
    "diff": "--- before\n+++ after\n@@ -9,0 +10 @@\n+        - {id: phone}",
    "next": None,
    "error": None,
    "errorCode": None,
    "problem": None,
    "invalid": [],
    "schedule": {"kind": "basic", "minutes": 60, "start": "03:30"},
    "words": "In step",
    "metrics": {"succeeded": {"total": 49}, "failed": {"total": 1}, "changed": {"total": 50}, "total": 1010},
    "diagnosis": {"code": "found", "message": "There is a profile."},
    "notLookedAt": [],
    "reference": "nightly-1",
    "parameters": ["--begin_time 2026-01-31T00:00:00Z"],
    "cure": None,
    "liftedAt": None,
    "dueSince": None,
    "nextSyncAt": None,
    "fullReason": None,
    "rowsPerSecond": None,
    "tasks": [],
    "total": 1,
    "role": "web",
    "degraded": [],
    "fields": {},
}
_BY_SCHEMA: dict[str, dict[str, Any]] = {
    "Project": {"name": "Customer 360", "entities": ["user"]},
    "Warehouse": {"name": "Analytics", "kind": "postgresql", "settings": {"host": "db.example.com", "port": 5432}},
    "Destination": {"name": "Production Redis"},
    "Step": {"name": "TCP", "message": "Connected."},
    "Entity": {"name": "user"},
    "View": {"name": "features_by_email"},
    "Precondition": {
        "name": "A successful Profiles run",
        "message": "Profiles has run.",
        "views": [],
        "pending": False,
    },
    "Sync": {"status": "succeeded"},
    "ProjectSync": {"state": "succeeded", "error": None},
    "Deletion": {"status": "finished"},
    "ProfilesRun": {"status": "finished"},
    "Check": {"state": "passed"},
    "Probe": {"state": "passed"},
    "BatchResult": {"status": "found"},
    "SourceState": {"syncState": "succeeded"},
    "Specification": {"text": "name: customer_360\nschema_version: 88\n…"},
    "AuditEvent": {"targetType": "member"},
}
# Members that an answer has only when it was asked for them, or in some cases.
_LEFT_OUT = {"freshness", "diagnosis", "probe", "problems", "fields", "stale", "checkId"}
_NOT_IN = {"BatchResult": {"error"}}
_UNDER_WAY: dict[str, Any] = {
    "state": "queued",
    "steps": [],
    "destinationId": None,
    "startedAt": None,
    "finishedAt": None,
}


def of_answer(method: str, status: str, schema: Schema, named: dict[str, Schema]) -> Any:
    """Return an example of an answer: one to a change names the check it started, a 202 tells what is under way."""
    told = of(schema, named)
    if status == "202":
        found = told.get("probe", told)
        found.update({name: value for name, value in _UNDER_WAY.items() if name in found})
    members = named.get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    return {**told, "checkId": _RUN} if method != "get" and "checkId" in members else told


def of(schema: Schema, named: dict[str, Schema], *, name: str = "") -> Any:
    """Return an example of a schema; `named` are the schemas that it may point to."""
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return _object(named[target], named, target) if "properties" in named[target] else of(named[target], named)
    if "example" in schema:
        return schema["example"]
    if name in _BY_NAME:
        return _BY_NAME[name]
    if "anyOf" in schema:
        return of(schema["anyOf"][0], named, name=name)
    if "enum" in schema:
        return schema["enum"][0]
    return _by_type(schema, named, name)


def _by_type(schema: Schema, named: dict[str, Schema], name: str) -> Any:
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _object(schema, named, "")
    if kind == "array":
        return [of(schema["items"], named)]
    if kind == "string":
        return _TIME if schema.get("format") == "date-time" else _ID if name.lower().endswith("id") else "…"
    if kind == "boolean":
        return True
    return max(1, schema.get("minimum", 1))


def _object(schema: Schema, named: dict[str, Schema], target: str) -> dict[str, Any]:
    own = _BY_SCHEMA.get(target, {})
    left_out = (_LEFT_OUT | _NOT_IN.get(target, set())) - set(schema.get("required", ()))
    return {
        name: own[name] if name in own else of(member, named, name=name)
        for name, member in schema.get("properties", {}).items()
        if name not in left_out
    }
