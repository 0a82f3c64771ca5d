"""`/v2/projects/{id}/activation`: *Enable sync to Redis*, what it still wants, and where its syncs stand."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import enabling, standings, tasks
from activation.access import destinations_of
from activation.api import fields, preconditions, timetables
from activation.api.fields import FLAG, TEXT, Members
from activation.api.managing import answer
from activation.api.problems import FieldsInvalid
from activation.api.reached import project_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from activation.destinations import possible_id
from activation.handles import InvalidDestination
from activation.models import Activation, RedisDestination, Source
from activation.standings import Standing
from projects.models import Project

_MEMBERS: Members = {"enabled": FLAG, "destinationId": TEXT, "removeProfiles": FLAG, "leaveProfiles": FLAG}
_WHERE_TO = "Name the destination to sync to."
_ONLY_OFF = {
    "removeProfiles": "Profiles are removed when the sync is turned off.",
    "leaveProfiles": "Profiles are left in Redis when the sync is turned off.",
}
_EITHER = "Either remove the profiles, or leave those that could not be removed."


class SwitchView(ApiView):
    """`GET …/activation` → its state; `POST {"enabled", …}` turns it on or off."""

    http_method_names = ["get", "post"]

    def get(self, request: Request, project_id: str) -> HttpResponse:
        """Tell whether the sync is on, what it still wants, and where each source stands."""
        return answer(told(project_for(identity_of(request), project_id, Permission.VIEW), now=timezone.now()))

    def post(self, request: Request, project_id: str) -> HttpResponse:
        """Turn the sync on or off; what is so already is left as it is."""
        identity = identity_of(request)
        project = project_for(identity, project_id, Permission.MANAGE_ACTIVATION)
        body = fields.read(raw_body(request), _MEMBERS, required=("enabled",))
        wanted = [name for name in _ONLY_OFF if body.get(name)]
        if body["enabled"] and wanted:
            raise FieldsInvalid({name: _ONLY_OFF[name] for name in wanted})
        if len(wanted) > 1:
            raise FieldsInvalid({"leaveProfiles": _EITHER})
        now = timezone.now()
        if body["enabled"]:
            _enable(identity, project, body.get("destinationId"), now=now)
        else:
            remove, leave = "removeProfiles" in wanted, "leaveProfiles" in wanted
            enabling.disable(project, by=identity.actor, now=now, remove=remove, leave=leave)
        transaction.on_commit(tasks.wake, robust=True)
        return answer(told(project, now=timezone.now()))


def told(project: Project, *, now: datetime) -> dict[str, Any]:
    """Tell where a project's sync stands."""
    activation = Activation.objects.filter(project=project).select_related("destination").first()
    points = enabling.preconditions(project)
    state: dict[str, Any] = {
        "enabled": activation is not None and activation.enabled,
        "destinationId": activation.destination.public_id if activation else None,
        "ready": all(point.met for point in points),
        "preconditions": preconditions.told(points),
    }
    if activation is None:
        return {**state, "state": None, "schedule": None, "nextSyncAt": None, "sources": []}
    rows = standings.of_sources(Source.objects.filter(activation=activation), now=now)
    summary = standings.summary(activation, rows)
    return {
        **state,
        "state": {"level": summary.state, "words": summary.word, "profiles": summary.profiles},
        "schedule": timetables.told(activation),
        "nextSyncAt": as_text(activation.next_sync_at),
        "sources": [_source(row, now=now) for row in rows],
    }


def _enable(identity: TokenIdentity, project: Project, destination_id: str | None, *, now: datetime) -> None:
    """Turn the sync on. Raises `InvalidDestination`, `AccessRefused`, and what `enabling.enable` raises."""
    present = Activation.objects.filter(project=project).select_related("destination").first()
    if destination_id is None and present is None:
        raise FieldsInvalid({"destinationId": _WHERE_TO})
    destination = present.destination if present and destination_id is None else _named(identity, destination_id or "")
    require(identity, Permission.MANAGE_ACTIVATION, destinations=[destination.public_id])
    if present is not None and present.enabled and present.destination_id == destination.pk:
        return
    enabling.enable(project, destination, by=identity.actor, now=now)


def _named(identity: TokenIdentity, public_id: str) -> RedisDestination:
    found = destinations_of(identity.actor).filter(public_id=public_id).first() if possible_id(public_id) else None
    if found is None:
        raise InvalidDestination
    return found


def _source(standing: Standing, *, now: datetime) -> dict[str, Any]:
    source, synced_at = standing.source, standing.synced_at
    return {
        "connectionId": source.public_id,
        "entity": source.entity,
        "idType": source.id_type,
        "view": source.feature_view,
        "status": source.status,
        "state": {"level": standing.state, "words": standing.word},
        "profiles": source.base_rows,
        "syncId": standing.run.public_id if standing.run else None,
        "syncState": standing.run.state if standing.run else None,
        "syncedAt": as_text(synced_at),
        "ageSeconds": max(0, int((now - synced_at).total_seconds())) if synced_at else None,
        "dueSince": as_text(standing.due_since),
    }
