"""Connection tests of a Redis: ask for one, wait for it in the call, and see how far it is, step by step.

A worker makes them, as for the pages; what they were asked for is done when they pass.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import access, destinations, probes, serving, tasks
from activation.api import fields, servers, waits
from activation.api.checks import possible, steps_told
from activation.api.fields import TEXT, Members
from activation.api.managing import ACCEPTED, answer
from activation.api.problems import Problem, Refusal
from activation.api.reached import destination_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from activation.models import DestinationProbe

ADOPTED: Members = {"destinationId": TEXT, "workspaceId": TEXT}
_Purpose, _State = DestinationProbe.Purpose, DestinationProbe.State
_ENDED = frozenset({_State.PASSED, _State.FAILED})
_ADDRESS = "/v2/destinations/probes/"


class ProbesView(ApiView):
    """`POST /v2/destinations/probes`: tests a Redis that is not connected, and stores nothing of it."""

    http_method_names = ["post"]

    def post(self, request: Request) -> HttpResponse:
        """Test a connection."""
        identity = for_new(request)
        seconds = waits.asked_for(request.query_params)
        body = fields.read(raw_body(request), {**servers.MEMBERS, **ADOPTED}, required=("settings",))
        settings, credentials = servers.new(body)
        with fields.refused_at(servers.PATHS):
            destinations.verify_adopted(organisation=identity.actor.organisation, adopted=adopted(body))
        probe = ask(
            identity,
            probes.Aim(purpose=_Purpose.TRY),
            settings=settings,
            credentials=credentials,
            adopted=adopted(body),
        )
        return watched(waited_for(probe, seconds=seconds))


class DestinationProbesView(ApiView):
    """`POST /v2/destinations/{id}/probes`: tests a destination as it is, or as the body would change it."""

    http_method_names = ["post"]

    def post(self, request: Request, destination_id: str) -> HttpResponse:
        """Test a connection."""
        identity = identity_of(request)
        destination = destination_for(identity, destination_id, Permission.MANAGE_CREDENTIALS)
        seconds = waits.asked_for(request.query_params)
        body = fields.read(raw_body(request), servers.CHANGES)
        settings, credentials = servers.changed(destination, body)
        aim = probes.Aim(purpose=_Purpose.TRY, destination=destination)
        probe = ask(identity, aim, name=destination.name, settings=settings, credentials=credentials)
        return watched(waited_for(probe, seconds=seconds))


class ProbeView(ApiView):
    """`GET /v2/destinations/probes/{probeId}` → the test."""

    http_method_names = ["get"]

    def get(self, request: Request, probe_id: str) -> HttpResponse:
        """Tell how far a test is."""
        identity = identity_of(request)
        probe = access.probe_for(identity.actor, possible(probe_id))
        # On pages, too, tests are for those who may make them; a test changes nothing, so it is read.
        identity.actor.require(Permission.MANAGE_CREDENTIALS)
        if probe.destination is None:
            _refuse_limited(identity)
        require(identity, Permission.VIEW, destinations=[probe.destination.public_id] if probe.destination else [])
        return watched(waited_for(probe, seconds=waits.asked_for(request.query_params, usual=0)))


def for_new(request: Request) -> TokenIdentity:
    """Return whose token it is, if it may connect a Redis: one that is limited to some destinations may not.

    Raises `PermissionRefused`, `AccessRefused`.
    """
    identity = identity_of(request)
    require(identity, Permission.MANAGE_CREDENTIALS)
    _refuse_limited(identity)
    return identity


def ask(
    identity: TokenIdentity,
    aim: probes.Aim,
    *,
    name: str = "",
    settings: Mapping[str, Any],
    credentials: Mapping[str, str],
    adopted: Mapping[str, str] | None = None,
) -> DestinationProbe:
    """Ask for a test and wake a worker for it. Raises `TooManyProbes`, `FieldsInvalid`."""
    with fields.refused_at(servers.PATHS):
        probe = probes.request(
            aim=aim,
            name=name,
            settings=settings,
            credentials=credentials,
            adopted=adopted or {},
            by=identity.actor,
            now=timezone.now(),
        )
    transaction.on_commit(lambda: tasks.wake_for_probe(probe.pk), robust=True)
    return probe


def waited_for(probe: DestinationProbe, *, seconds: float) -> DestinationProbe:
    """Return the test as it is when it has ended, or once the time is over."""
    rows = DestinationProbe.objects.select_related("destination")
    return waits.until(lambda row: row.state in _ENDED, lambda: rows.get(pk=probe.pk), seconds=seconds)


def watched(probe: DestinationProbe) -> HttpResponse:
    """Answer with a test: 200 once it has ended, however it did; 202 before."""
    ended = probe.state in _ENDED
    return answer(told(probe), status=200 if ended else ACCEPTED, at="" if ended else _ADDRESS + probe.public_id)


def pending(probe: DestinationProbe) -> HttpResponse:
    """Answer with a test that goes on, to be asked for again."""
    return answer({"probe": told(probe)}, status=ACCEPTED, at=_ADDRESS + probe.public_id)


def refuse_failed(probe: DestinationProbe) -> None:
    """Raise `Refusal` with the steps if the test has failed."""
    if probe.state != _State.FAILED:
        return
    failed = next((step for step in probe.steps if step["state"] == "failed"), None)
    text = probe.problem or (f"{failed['name']}: {failed['message']} {failed['cure']}" if failed else "")
    raise Refusal(Problem(422, "probe_failed", f"Nothing is changed. {text}".strip(), more={"probe": told(probe)}))


def told(probe: DestinationProbe) -> dict[str, Any]:
    """Tell how far a test is; a failed step says what is wrong and what to do."""
    return {
        "id": probe.public_id,
        "purpose": probe.purpose,
        "state": probe.state,
        "steps": steps_told(probe.steps),
        "problem": probe.problem or None,
        "destinationId": probe.destination.public_id if probe.destination else None,
        "createdAt": as_text(probe.created_at),
        "startedAt": as_text(probe.started_at),
        "finishedAt": as_text(probe.finished_at),
    }


def adopted(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids of data that is in Redis already, those that a body names."""
    given = {"public_id": body.get("destinationId"), "workspace_id": body.get("workspaceId")}
    return {name: text for name, text in given.items() if text}


def _refuse_limited(identity: TokenIdentity) -> None:
    if "destinations" in identity.limits:
        raise serving.AccessRefused
