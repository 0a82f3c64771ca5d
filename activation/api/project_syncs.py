"""`GET /v2/projects/{id}/syncs`: a project's syncs as we know them, with every state and count; ours, not hosted."""

from datetime import datetime
from typing import Any

import orjson
from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict
from django.utils import timezone
from rest_framework.request import Request

from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import run_progress, serving
from activation.api.bodies import BodyInvalid
from activation.api.formats import json_answer
from activation.api.paging import Paging
from activation.api.reached import require
from activation.api.requests import ApiView, identity_of
from activation.api.times import as_text
from activation.models import RunState, Source, SyncRun
from projects.access import project_by_public_id
from projects.models import Project


class ProjectSyncsView(ApiView):
    """`GET …/syncs?state=&runId=&page=&per_page=` → `{"syncs", "paging"}`, newest first.

    `runId` is a Profiles run's: its syncs are those that cover it and no newer one.
    """

    http_method_names = ["get"]

    def get(self, request: Request, project_id: str) -> HttpResponse:
        """List a project's syncs."""
        identity = identity_of(request)
        project = project_by_public_id(identity.actor, project_id)
        require(identity, Permission.VIEW)
        asked = request.query_params
        found = _filtered(SyncRun.objects.filter(source__in=_sources(identity, project)), asked)
        found = found.select_related("source", "profiles_run").order_by("-queued_at", "-pk")
        paging = Paging.of(request.path, asked)
        now = timezone.now()
        rows = [_told(run, now=now) for run in paging.rows(found)]
        told = {"syncs": rows, "paging": paging.told(found.count())}
        return json_answer(orjson.dumps(told))


def _sources(identity: TokenIdentity, project: Project) -> list[Source]:
    """List the project's sources that the token may read about."""
    sources = Source.objects.filter(activation__project=project).select_related("destination")
    return [
        source
        for source in sources
        if serving.within_limits(identity, verb="read", destination=source.destination.public_id, entity=source.entity)
    ]


def _filtered(runs: QuerySet[SyncRun], asked: QueryDict) -> QuerySet[SyncRun]:
    state, profiles_run = asked.get("state"), asked.get("runId")
    if state is not None:
        if state not in RunState.values:
            raise BodyInvalid(f"state must be one of {', '.join(RunState.values)}.")
        runs = runs.filter(state=state)
    if profiles_run is not None:
        if not profiles_run.isalnum():
            raise BodyInvalid("runId must be the id of a Profiles run.")
        runs = runs.filter(profiles_run__public_id=profiles_run)
    return runs


def _told(run: SyncRun, *, now: datetime) -> dict[str, Any]:
    counts: SyncRun | run_progress.Progress = run if run.state == RunState.SUCCEEDED else run_progress.of(run, now=now)
    return {
        "id": run.public_id,
        "connectionId": run.source.public_id,
        "entity": run.source.entity,
        "idType": run.source.id_type,
        "view": run.source.feature_view,
        "state": run.state,
        "kind": run.kind,
        "fullReason": run.full_reason or None,
        "trigger": run.trigger,
        "runId": run.profiles_run.public_id if run.profiles_run else None,
        "queuedAt": as_text(run.queued_at),
        "snapshotAt": as_text(run.snapshot_at),
        "loadingAt": as_text(run.loading_at),
        "finishingAt": as_text(run.finishing_at),
        "finishedAt": as_text(run.finished_at),
        "errorCode": run.error_code or None,
        "error": run.error or None,
        "rows": {
            "inView": run.rows_in_view,
            "toWrite": run.rows_planned,
            "toDelete": run.deletes_planned,
            "unchanged": run.unchanged,
            "written": counts.written,
            "deleted": counts.deleted,
            "suppressed": counts.suppressed,
            "failed": counts.failed,
            "withoutId": run.null_ids,
            "duplicates": run.duplicate_ids,
            "contradicting": run.invalid_ids,
            "kept": run.kept_rows,
        },
    }
