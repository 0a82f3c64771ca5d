"""`/v1/activation` and `/v2/activation`: fetch a person's profile, or delete profiles.

The order of checks is the contract's: token, body, destination, access, look-up. DRF has checked the token when a
method here begins, so the body is read here and not before.
"""

from typing import cast

import orjson
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.identities import TokenIdentity
from activation import rates, serving
from activation.api import bodies
from activation.api.formats import envelope, json_answer
from activation.handles import InvalidDestination


class TokenRate(BaseThrottle):
    """Keeps a token to its rate; asked right after the token was checked."""

    seconds = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Tell whether the token may call now."""
        self.seconds = rates.wait_for(identity_of(request))
        return not self.seconds

    def wait(self) -> float:
        """Return the seconds to wait."""
        return self.seconds


class FetchView(APIView):
    """`/v1/activation`: fetch only."""

    http_method_names = ["post"]
    throttle_classes = (TokenRate,)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """DRF's `Allow` belongs to a 405 only, where the error handler sets it."""
        return {}

    def post(self, request: Request) -> HttpResponse:
        """Answer with the person's feature views, or with none."""
        asked = bodies.fetch_request(raw_body(request))
        profile = serving.read(
            identity_of(request), destination=destination_id(asked.destination), entity=asked.entity, id=asked.id
        )
        return json_answer(envelope(asked.entity, asked.echo, profile))


class ActivationView(FetchView):
    """`/v2/activation`: fetch and delete."""

    http_method_names = ["post", "delete"]

    def delete(self, request: Request) -> HttpResponse:
        """Delete profiles and answer with the counts."""
        asked = bodies.delete_request(raw_body(request))
        deletion = serving.delete(
            identity_of(request),
            destination=destination_id(asked.destination),
            entity=asked.entity,
            ids=asked.ids,
            now=timezone.now(),
        )
        return json_answer(orjson.dumps({"deletedKeys": deletion.deleted, "actualKeys": deletion.addressed}))


def identity_of(request: Request) -> TokenIdentity:
    """Return whose token came with the request; `TokenAuthentication` lets none through without one."""
    return cast("TokenIdentity", request.auth)


def destination_id(given: object) -> str:
    """Return a destination's id. Raises `InvalidDestination` when it is not even a text."""
    if not isinstance(given, str):
        raise InvalidDestination
    return given


def raw_body(request: Request) -> bytes:
    """Read the body. Raises `BodyTooLarge`, before reading if the client told the length."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > bodies.MAX_BODY_BYTES:
        raise bodies.BodyTooLarge
    body: bytes = request.body
    return body
