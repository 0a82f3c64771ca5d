"""Every operation of the API: what it takes, and every answer it may give."""

from activation.api import bodies
from activation.api.openapi import management, management_projects, running, schemas, suppressions
from activation.api.openapi.building import PAGES, Operation, linked, operation, with_headers
from activation.api.openapi.schemas import ASKED, NAME, OPTIONS, Schema, nullable, obj, ref, text
from activation.api.syncs import STATUSES
from activation.models import RunState

_ID = {"id": ref("Id")}
_IDS: Schema = {"type": "array", "items": ref("Id"), "minItems": 1, "maxItems": bodies.MAX_IDS}
_ONE_OR_MORE = {"id": {"anyOf": [ref("Id"), _IDS]}}
_WANTED = ("entity", "destinationId", "id")
_JANE = {"type": "email", "value": "jane@example.com"}
_EXAMPLE = {"entity": "user", "destinationId": "<destination id>", "id": _JANE}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An `ETag` that you have; while the answer is the same it is 304, without a body.",
    "schema": text(),
}


def paths() -> dict[str, dict[str, Operation]]:
    """Return the operations by path and method."""
    return {**_calls(), **suppressions.paths(), **management_projects.paths(), **management.paths(), **running.paths()}


def _calls() -> dict[str, dict[str, Operation]]:
    return {
        "/v1/activation": {
            "post": _fetch("Fetch a profile, as version 1 does", "fetchProfileV1", obj(_WANTED, **ASKED, **_ID))
        },
        "/v2/activation": {
            "post": _fetch("Fetch a profile", "fetchProfile", obj(_WANTED, **ASKED, **_ONE_OR_MORE, **OPTIONS)),
            "delete": _delete(),
        },
        "/v2/activation/batch": {"post": _batch()},
        "/v2/deletions/{deletionId}": {"get": _deletion()},
        "/v2/retl-connections/{connectionId}/start": {"post": _start()},
        "/v2/retl-connections/{connectionId}/stop": {"post": _stop()},
        "/v2/retl-connections/{connectionId}/syncs": {"get": _syncs()},
        "/v2/retl-connections/{connectionId}/syncs/{syncId}": {"get": _sync()},
        "/v2/projects/{projectId}/syncs": {"get": _project_syncs()},
        "/v2/projects/{projectId}/runs": {"post": _report()},
        "/v2/sources/{profilesId}/start": {"post": _start_run()},
        "/v2/sources/{profilesId}/runs/{runId}/status": {"get": _run_status()},
        "/v2/audit-log": {"get": _audit_log()},
    }


def _fetch(summary: str, name: str, body: Schema) -> Operation:
    made = operation(
        ("Profiles", name, summary),
        body={**body, "example": _EXAMPLE},
        answers={
            "200": ("The profile; a person who is not there has empty `data`.", ref("Profile")),
            "304": ("The profile is as `If-None-Match` says that the caller has it.", None),
        },
        refused=("400", "404", "413"),
    )
    return _tagged(made)


def _tagged(made: Operation) -> Operation:
    """Say that answers carry an `ETag`, and that it may be sent back."""
    made["parameters"] = [_IF_NONE_MATCH]
    return with_headers(made, "200", "304", names=("ETag",))


def _delete() -> Operation:
    counts = obj(
        ("deletedKeys", "actualKeys"),
        deletedKeys=schemas.whole(),
        actualKeys=schemas.whole(),
        receiptId=text("With `cascade` only: where the rest stands is read at `/v2/deletions/{deletionId}`."),
    )
    about = "Delete the same person's other ids as well, found through the main id in the latest snapshots."
    cascade: Schema = {"type": "boolean", "default": False, "description": about}
    made = operation(
        ("Profiles", "deleteProfiles", "Delete profiles"),
        body={**obj(_WANTED, **ASKED, **_ONE_OR_MORE, cascade=cascade), "example": {**_EXAMPLE, "cascade": True}},
        answers={"200": ("How many keys were there and are gone, and how many were addressed.", counts)},
        refused=("400", "404", "413"),
    )
    return linked(made, "200", readDeletion={"deletionId": "receiptId"})


def _deletion() -> Operation:
    return operation(
        ("Profiles", "readDeletion", "Read where a cascading delete stands"),
        path=("deletionId",),
        answers={"200": ("The receipt.", ref("Deletion"))},
        refused=("404",),
    )


def _batch() -> Operation:
    options = {name: schema for name, schema in OPTIONS.items() if name != "include"}
    include = {"type": "array", "items": {"enum": ["freshness"]}}
    items: Schema = {"type": "array", "minItems": 1, "maxItems": bodies.MAX_BATCH_IDS, "items": ref("Id")}
    results = {"type": "array", "items": ref("BatchResult"), "description": "One for each id, in order."}
    asked = obj(("entity", "destinationId", "ids"), **ASKED, ids=items, include=include, **options)
    example = {
        "entity": "user",
        "destinationId": "<destination id>",
        "ids": [_JANE, {**_JANE, "value": "bob@example.com"}],
    }
    made = operation(
        ("Profiles", "fetchProfiles", "Fetch many profiles"),
        body={**asked, "example": example},
        answers={
            "200": ("The results.", obj(("entity", "results"), entity=text(), results=results)),
            "304": ("The results are as `If-None-Match` says that the caller has them.", None),
        },
        refused=("400", "404", "413"),
    )
    return _tagged(made)


def _start() -> Operation:
    made = operation(
        ("Syncs", "startSync", "Start a sync"),
        path=("connectionId",),
        body={
            **obj(syncType={"enum": ["incremental", "full"], "default": "incremental"}),
            "example": {"syncType": "incremental"},
        },
        body_required=False,
        answers={"200": ("The sync that was started.", obj(("syncId",), syncId=text()))},
        refused=("400", "404", "409", "413"),
    )
    at = {"connectionId": "path.connectionId"}
    return linked(made, "200", readSync={**at, "syncId": "syncId"}, listSyncs=at, stopSync=at)


def _stop() -> Operation:
    return operation(
        ("Syncs", "stopSync", "Stop the active sync"),
        path=("connectionId",),
        answers={"204": ("Nothing is active any more.", None)},
        refused=("404",),
    )


def _syncs() -> Operation:
    listed = obj(("syncs", "paging"), syncs={"type": "array", "items": ref("Sync")}, paging=ref("Paging"))
    made = operation(
        ("Syncs", "listSyncs", "List a connection's syncs, newest first"),
        path=("connectionId",),
        query={
            "status": {"enum": list(STATUSES)},
            "started_after": text("ISO 8601; UTC without a zone.", format="date-time"),
            "started_before": text("ISO 8601; UTC without a zone.", format="date-time"),
            **PAGES,
        },
        answers={"200": ("A page of syncs.", listed)},
        refused=("400", "404"),
    )
    return linked(made, "200", readSync={"connectionId": "path.connectionId", "syncId": "syncs/0/id"})


def _sync() -> Operation:
    return operation(
        ("Syncs", "readSync", "Read a sync"),
        path=("connectionId", "syncId"),
        answers={"200": ("The sync.", ref("Sync"))},
        refused=("404",),
    )


def _project_syncs() -> Operation:
    listed = obj(("syncs", "paging"), syncs={"type": "array", "items": ref("ProjectSync")}, paging=ref("Paging"))
    return operation(
        ("Syncs", "listProjectSyncs", "List the syncs of all of a project's sources, newest first"),
        path=("projectId",),
        query={"state": {"enum": list(RunState.values)}, "runId": text("A Profiles run."), **PAGES},
        answers={"200": ("A page of syncs.", listed)},
        refused=("400", "404"),
    )


def _report() -> Operation:
    asked = obj(
        ("status",),
        status={"enum": ["finished", "failed"]},
        reference=text("Your own name of the run; the same one is recorded once."),
        finishedAt=text("ISO 8601; UTC without a zone; now without it.", format="date-time"),
    )
    made = operation(
        ("Profiles runs", "reportRun", "Report a Profiles run that has ended"),
        path=("projectId",),
        body={**asked, "example": {"status": "finished", "reference": "nightly-1"}},
        answers={
            "200": ("The run was reported before.", ref("StartedRun")),
            "201": ("The run is recorded.", ref("StartedRun")),
        },
        refused=("400", "404", "413"),
    )
    at = {"profilesId": "path.projectId", "runId": "runId"}
    return linked(linked(made, "200", readRun=at), "201", readRun=at)


def _start_run() -> Operation:
    parameters: Schema = {"type": "array", "items": NAME, "description": "Passed on to the operator's command."}
    made = operation(
        ("Profiles runs", "startRun", "Start a Profiles run"),
        path=("profilesId",),
        body={
            **obj(parameters=nullable(parameters)),
            "example": {"parameters": ["--begin_time 2026-01-31T00:00:00Z"]},
        },
        answers={"200": ("The run that was started.", ref("StartedRun"))},
        refused=("400", "404", "409", "413"),
    )
    return linked(made, "200", readRun={"profilesId": "path.profilesId", "runId": "runId"})


def _run_status() -> Operation:
    return operation(
        ("Profiles runs", "readRun", "Read a Profiles run"),
        path=("profilesId", "runId"),
        answers={"200": ("The run.", ref("ProfilesRun"))},
        refused=("404",),
    )


def _audit_log() -> Operation:
    moment = {"format": "date-time", "example": "2026-01-31T08:00:00Z"}
    listed = obj(("events", "paging"), events={"type": "array", "items": ref("AuditEvent")}, paging=ref("Paging"))
    return operation(
        ("Audit log", "listAuditEvents", "List what happened in the organisation, newest first"),
        query={
            "person": text("Any part of an e-mail address or of a token's name.", example="ada@example.com"),
            "action": text("Any part of an action.", example="member_removed"),
            "target": text("Any part of a target's name or type, or its whole id.", example="token"),
            "since": text("Not before this; ISO 8601, UTC without a zone.", **moment),
            "until": text("Before this; ISO 8601, UTC without a zone.", **moment),
            **PAGES,
        },
        answers={"200": ("A page of events.", listed)},
        refused=("400",),
    )
