"""`/v2/destinations`: connect, read, change and delete Redis destinations.

A connection is tested before it is stored: the call waits for the test for some seconds. Secrets are taken and never
told.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import access, destinations, probes
from activation.api import fields, servers, waits
from activation.api.fields import TEXT, WHOLE_OR_NULL, Members
from activation.api.managing import CREATED, answer, gone, listed
from activation.api.probes import ADOPTED, adopted, ask, for_new, pending, refuse_failed, waited_for
from activation.api.problems import FieldsInvalid, Problem, Refusal
from activation.api.reached import destination_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from activation.forms import PaceForm
from activation.models import DestinationProbe, RedisDestination
from projects.projects import NameTaken

_Purpose, _State = DestinationProbe.Purpose, DestinationProbe.State
_CHANGES: Members = {"name": TEXT, "rowsPerSecond": WHOLE_OR_NULL, **servers.CHANGES}
_REQUIRED = ("name", "settings")
_CONNECTION = frozenset(servers.CHANGES)
_APART = (
    "How the destination is reached is tested before it is stored, so it is changed in a call of its own. Leave out "
    "name and rowsPerSecond."
)


class DestinationsView(ApiView):
    """`GET /v2/destinations?name=` → `{"destinations", "paging"}`; `POST` tests and connects one → 201, 202 or 422."""

    http_method_names = ["get", "post"]

    def get(self, request: Request) -> HttpResponse:
        """List the organisation's destinations that the token may see."""
        identity = identity_of(request)
        require(identity, Permission.VIEW)
        found = access.destinations_of(identity.actor)
        if "destinations" in identity.limits:
            found = found.filter(public_id__in=identity.limits["destinations"])
        return listed(request, "destinations", found, told)

    def post(self, request: Request) -> HttpResponse:
        """Connect a Redis once its test has passed; where that takes long, the test is answered."""
        identity = for_new(request)
        seconds = waits.asked_for(request.query_params)
        body = fields.read(raw_body(request), {"name": TEXT, **servers.MEMBERS, **ADOPTED}, required=_REQUIRED)
        settings, credentials = servers.new(body)
        name = body["name"].strip()
        _refuse_taken(identity.actor, name)
        with fields.refused_at(servers.PATHS):
            destinations.verify_new(
                organisation=identity.actor.organisation,
                name=name,
                settings=settings,
                credentials=credentials,
                adopted=adopted(body),
            )
        probe = ask(
            identity, probes.Aim(), name=name, settings=settings, credentials=credentials, adopted=adopted(body)
        )
        probe = waited_for(probe, seconds=seconds)
        refuse_failed(probe)
        if probe.destination is None:
            return pending(probe)
        at = f"{request.path}/{probe.destination.public_id}"
        return answer(told(probe.destination), status=CREATED, at=at)


class DestinationView(ApiView):
    """`/v2/destinations/{id}`: read, change and delete a destination."""

    http_method_names = ["get", "patch", "delete"]

    def get(self, request: Request, destination_id: str) -> HttpResponse:
        """Tell how a destination is reached."""
        return answer(told(destination_for(identity_of(request), destination_id, Permission.VIEW)))

    def patch(self, request: Request, destination_id: str) -> HttpResponse:
        """Change the name or the pace at once, or how it is reached once that has passed a test."""
        identity = identity_of(request)
        destination = destination_for(identity, destination_id, Permission.MANAGE_CREDENTIALS)
        seconds = waits.asked_for(request.query_params)
        body = fields.read(raw_body(request), _CHANGES)
        if body.keys() & _CONNECTION:
            if body.keys() - _CONNECTION:
                raise FieldsInvalid(dict.fromkeys(sorted(body.keys() & _CONNECTION), _APART))
            return _reach(identity, destination, body, seconds=seconds)
        with transaction.atomic():
            _change(destination, body, by=identity.actor)
        return answer(told(destination_for(identity, destination_id, Permission.VIEW)))

    def delete(self, request: Request, destination_id: str) -> HttpResponse:
        """Forget a destination that nothing syncs to and that holds no profiles of ours."""
        identity = identity_of(request)
        destination = destination_for(identity, destination_id, Permission.DELETE_THINGS)
        destinations.delete(destination, by=identity.actor, now=timezone.now())
        return gone()


def told(destination: RedisDestination) -> dict[str, Any]:
    """Tell what a destination is, without its secrets."""
    return {
        "id": destination.public_id,
        "workspaceId": destination.workspace_id,
        "name": destination.name,
        **servers.told(destination),
        "rowsPerSecond": destination.rows_per_second,
        "createdAt": as_text(destination.created_at),
    }


def _refuse_taken(by: Actor, name: str) -> None:
    """Raise `NameTaken`, or `Refusal` while one of that name is being tested: a call made twice connects one."""
    if RedisDestination.objects.filter(organisation=by.organisation, name=name).exists():
        raise NameTaken(name)
    active = DestinationProbe.objects.filter(
        organisation=by.organisation,
        purpose=_Purpose.CONNECT,
        name=name,
        state__in=(_State.QUEUED, _State.RUNNING),
    )
    under_way = active.order_by("-pk").first()
    if under_way is not None:
        text = f"A destination of this name is being tested. Ask for its test, {under_way.public_id}."
        raise Refusal(Problem(409, "already_running", text, more={"probeId": under_way.public_id}))


def _reach(
    identity: TokenIdentity, destination: RedisDestination, body: Mapping[str, Any], *, seconds: float
) -> HttpResponse:
    """Test how the destination would be reached; a worker stores it once it has passed."""
    settings, credentials = servers.changed(destination, body)
    aim = probes.Aim(purpose=_Purpose.EDIT, destination=destination)
    probe = ask(identity, aim, name=destination.name, settings=settings, credentials=credentials)
    probe = waited_for(probe, seconds=seconds)
    refuse_failed(probe)
    if probe.state != _State.PASSED or probe.destination is None:
        return pending(probe)
    return answer(told(probe.destination))


def _change(destination: RedisDestination, body: Mapping[str, Any], *, by: Actor) -> None:
    now = timezone.now()
    if "rowsPerSecond" in body:
        pace = PaceForm({"rows_per_second": body["rowsPerSecond"]})
        limit = fields.judge(pace, {"rows_per_second": "rowsPerSecond"}).cleaned_data["rows_per_second"]
        destinations.limit_pace(destination, rows_per_second=limit, by=by, now=now)
    if "name" in body:
        name = body["name"].strip()
        others = RedisDestination.objects.filter(organisation=by.organisation, name=name).exclude(pk=destination.pk)
        if others.exists():
            raise NameTaken(name)
        with fields.refused_at(servers.PATHS):
            destinations.rename(destination, name=name, by=by, now=now)
