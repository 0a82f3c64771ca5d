"""`/v2/retl-connections/…`: start, list, read and stop the syncs of a source, in the hosted product's shapes.

`connectionId` is the public id of a source. The format: https://www.rudderstack.com/docs/api/retl-connections-api/.
The order of checks: token, connection, what the token may do, the request, whether it can be done now.
"""

from datetime import datetime
from typing import Any

import orjson
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request

from accounts.roles import Permission
from activation import run_progress, serving, syncs, tasks
from activation.access import source_for
from activation.api import bodies
from activation.api.bodies import BodyInvalid
from activation.api.formats import json_answer
from activation.api.paging import Paging
from activation.api.problems import conflict
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text, asked_for
from activation.models import ACTIVE_STATES, RunState, Source, SyncRun

STATUSES = {
    "running": ACTIVE_STATES,
    "succeeded": (RunState.SUCCEEDED,),
    "failed": (RunState.FAILED, RunState.CANCELLED),
}
_STATUS_OF = {state: name for name, states in STATUSES.items() for state in states}
_FULL = {"full": True, "incremental": False}


class ConnectionView(ApiView):
    """What the four calls share: how a token's rate counts, and how a connection is found."""

    def source(self, request: Request, connection_id: str, permission: Permission) -> Source:
        """Return the source, if the token may do that with it. Raises `Http404`, `PermissionRefused`, `AccessRefused`.

        A source of another organisation looks like one that does not exist.
        """
        identity = identity_of(request)
        if not connection_id.isalnum():
            raise Http404
        source = source_for(identity.actor, connection_id)
        identity.actor.require(permission)
        verb: serving.Verb = "read" if permission == Permission.VIEW else "sync"
        destination = source.destination.public_id
        if not serving.within_limits(identity, verb=verb, destination=destination, entity=source.entity):
            raise serving.AccessRefused
        return source


class StartView(ConnectionView):
    """`POST …/start {"syncType": "incremental"|"full"}` → `{"syncId"}`; 409 while a sync is active."""

    http_method_names = ["post"]

    def post(self, request: Request, connection_id: str) -> HttpResponse:
        """Start a sync."""
        source = self.source(request, connection_id, Permission.RUN_SYNCS)
        full = _asks_for_full(raw_body(request))
        try:
            run = syncs.start(
                source, trigger=SyncRun.Trigger.API, by=identity_of(request).actor, now=timezone.now(), full=full
            )
        except syncs.AlreadyRunning as error:
            raise conflict("already_running", str(error)) from None
        except syncs.SourceRetired as error:
            raise conflict("not_synced", str(error)) from None
        transaction.on_commit(tasks.wake, robust=True)
        return json_answer(orjson.dumps({"syncId": run.public_id}))


class StopView(ConnectionView):
    """`POST …/stop` → 204, whether or not a sync was active."""

    http_method_names = ["post"]

    def post(self, request: Request, connection_id: str) -> HttpResponse:
        """Stop the active sync and drop what was to follow it."""
        source = self.source(request, connection_id, Permission.RUN_SYNCS)
        run = syncs.active_run(source)
        if run is not None and syncs.stop(run, by=identity_of(request).actor, now=timezone.now()):
            transaction.on_commit(tasks.wake, robust=True)
        return HttpResponse(status=status.HTTP_204_NO_CONTENT, headers={"Cache-Control": "no-store"})


class SyncsView(ConnectionView):
    """`GET …/syncs?status=&started_after=&started_before=&page=&per_page=` → `{"syncs", "paging"}`, newest first."""

    http_method_names = ["get"]

    def get(self, request: Request, connection_id: str) -> HttpResponse:
        """List a source's syncs."""
        source = self.source(request, connection_id, Permission.VIEW)
        asked = request.query_params
        found = _filtered(source.runs.order_by("-queued_at", "-pk"), asked)
        paging = Paging.of(request.path, asked)
        now = timezone.now()
        rows = [_told(run, now=now) for run in paging.rows(found)]
        told = {"syncs": rows, "paging": paging.told(found.count())}
        return json_answer(orjson.dumps(told))


class SyncView(ConnectionView):
    """`GET …/syncs/{syncId}` → the sync."""

    http_method_names = ["get"]

    def get(self, request: Request, connection_id: str, sync_id: str) -> HttpResponse:
        """Tell where a sync stands."""
        source = self.source(request, connection_id, Permission.VIEW)
        run = source.runs.filter(public_id=sync_id).first() if sync_id.isalnum() else None
        if run is None:
            raise Http404
        return json_answer(orjson.dumps(_told(run, now=timezone.now())))


def _told(run: SyncRun, *, now: datetime) -> dict[str, Any]:
    """Return a sync in the hosted shape. `total` are the rows looked at, `changed` those to write or delete."""
    counts: SyncRun | run_progress.Progress = run if run.state == RunState.SUCCEEDED else run_progress.of(run, now=now)
    deletes = run.deletes_planned or 0
    return {
        "id": run.public_id,
        "status": _STATUS_OF[RunState(run.state)],
        "startedAt": as_text(run.queued_at),
        "finishedAt": as_text(run.finished_at),
        "error": "stopped" if run.state == RunState.CANCELLED else run.error or None,
        "metrics": {
            "succeeded": {"total": counts.written + counts.deleted + counts.suppressed},
            "failed": {"total": counts.failed},
            "changed": {"total": (run.rows_planned or 0) + deletes},
            "total": (run.snapshot_rows or 0) + deletes,
        },
    }


def _asks_for_full(raw: bytes) -> bool:
    """Read the body of a start: empty or without `syncType` it asks for what changed. Raises `BodyInvalid`."""
    body = bodies.read_json(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise BodyInvalid("The body must be a JSON object.")
    wanted = body.get("syncType", "incremental")
    if not isinstance(wanted, str) or wanted not in _FULL:
        raise BodyInvalid('syncType must be "incremental" or "full".')
    return _FULL[wanted]


def _filtered(runs: QuerySet[SyncRun], asked: QueryDict) -> QuerySet[SyncRun]:
    wanted = asked.get("status")
    if wanted is not None:
        if wanted not in STATUSES:
            raise BodyInvalid("status must be running, succeeded or failed.")
        runs = runs.filter(state__in=STATUSES[wanted])
    if after := asked_for(asked, "started_after"):
        runs = runs.filter(queued_at__gt=after)
    if before := asked_for(asked, "started_before"):
        runs = runs.filter(queued_at__lt=before)
    return runs
