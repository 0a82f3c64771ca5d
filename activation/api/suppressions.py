"""`/v2/destinations/{id}/suppressions…`: list what keeps profiles out, check an id, lift what was found; for Admins.

The id that is asked about comes in a body and is forgotten: it is in no address, no log, no audit row and no answer.
"""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.utils import timezone
from rest_framework.request import Request

from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import lifts, serving
from activation.api import bodies
from activation.api.bodies import BodyInvalid
from activation.api.managing import answer
from activation.api.paging import Paging
from activation.api.reached import destination_for, require
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from activation.models import RedisDestination, Suppression

STATES = {
    "waiting": Q(lifted_at=None, deleted_at=None),
    "deleted": Q(lifted_at=None, deleted_at__isnull=False),
    "lifted": Q(lifted_at__isnull=False),
}
# As much of a digest as is shown on pages: enough to tell suppressions apart.
DIGEST = 12


class SuppressionsView(ApiView):
    """`GET …/suppressions?state=&receiptId=&page=&per_page=` → `{"suppressions", "paging"}`, newest first."""

    http_method_names = ["get"]

    def get(self, request: Request, destination_id: str) -> HttpResponse:
        """List a destination's suppressions."""
        identity = identity_of(request)
        destination = _readable(identity, destination_id)
        # They do not tell whose entity they are of.
        if "entities" in identity.limits:
            raise serving.AccessRefused
        asked = request.query_params
        found = _filtered(destination.suppressions.order_by("-sequence"), asked)
        paging = Paging.of(request.path, asked)
        rows = [told(row) for row in paging.rows(found)]
        return answer({"suppressions": rows, "paging": paging.told(found.count())})


class SuppressionCheckView(ApiView):
    """`POST …/suppressions/check {"entity", "id"}` → `{"suppressed", "suppressions"}`; the audit log tells."""

    http_method_names = ["post"]

    def post(self, request: Request, destination_id: str) -> HttpResponse:
        """Tell whether a profile is kept from being written."""
        identity = identity_of(request)
        destination = _readable(identity, destination_id)
        asked = bodies.fetch_request(raw_body(request))
        require(identity, Permission.VIEW, entities=[asked.entity])
        found = lifts.look_up(destination, **_profile(asked), by=identity.actor, now=timezone.now())
        return answer({"suppressed": bool(found), "suppressions": [told(row) for row in found]})


class SuppressionLiftView(ApiView):
    """`POST …/suppressions/lift {"entity", "id"}` → `{"lifted"}`: how many stood."""

    http_method_names = ["post"]

    def post(self, request: Request, destination_id: str) -> HttpResponse:
        """Lift what keeps a profile from being written."""
        identity = identity_of(request)
        destination = destination_for(identity, destination_id, Permission.MANAGE_SUPPRESSIONS)
        asked = bodies.fetch_request(raw_body(request))
        require(identity, Permission.MANAGE_SUPPRESSIONS, entities=[asked.entity])
        lifted = lifts.lift(destination, **_profile(asked), by=identity.actor, now=timezone.now())
        return answer({"lifted": lifted})


def told(row: Suppression) -> dict[str, Any]:
    """Tell of a suppression what the page does."""
    state = "lifted" if row.lifted_at else "deleted" if row.deleted_at else "waiting"
    return {
        "number": row.sequence,
        "digest": row.digest[:DIGEST],
        "state": state,
        "requestedAt": as_text(row.created_at),
        "requestedBy": row.requested_by,
        "receiptId": row.receipt or None,
        "deletedAt": as_text(row.deleted_at),
        "liftedAt": as_text(row.lifted_at),
    }


def _readable(identity: TokenIdentity, destination_id: str) -> RedisDestination:
    """Return a destination whose suppressions the token may see: only Admins', and within its limits to read."""
    destination = destination_for(identity, destination_id, Permission.VIEW)
    identity.actor.require(Permission.MANAGE_SUPPRESSIONS)
    return destination


def _profile(asked: bodies.FetchRequest) -> dict[str, str]:
    return {"entity": asked.entity, "id_type": asked.id.type, "value": asked.id.value}


def _filtered(rows: QuerySet[Suppression], asked: QueryDict) -> QuerySet[Suppression]:
    state, receipt = asked.get("state"), asked.get("receiptId")
    if state is not None:
        if state not in STATES:
            raise BodyInvalid(f"state must be one of {', '.join(STATES)}.")
        rows = rows.filter(STATES[state])
    if receipt is not None:
        if not receipt.isalnum():
            raise BodyInvalid("receiptId must be the receipt of a cascading delete.")
        rows = rows.filter(receipt=receipt)
    return rows
