"""What every view of the Activation API needs of a request: whose token, which body, and the token's rate."""

import math
from typing import cast

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.identities import TokenIdentity
from activation import rates
from activation.api import bodies, delivery
from activation.handles import InvalidDestination


class TokenRate(BaseThrottle):
    """Keeps a token to its rate; asked right after the token was checked.

    A token with a rate is told where it stands (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
    """

    seconds = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Tell whether the token may call now."""
        identity = identity_of(request)
        self.seconds = rates.wait_for(identity)
        if identity.limits.get("rate"):
            view.headers.update(_rate_headers(identity, self.seconds))
        return not self.seconds

    def wait(self) -> float:
        """Return the seconds to wait."""
        return self.seconds


class ApiView(APIView):
    """What the API's views share: a token's rate counts, and `Allow` is told with a 405 only."""

    throttle_classes: tuple[type[BaseThrottle], ...] = (TokenRate,)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """DRF's `Allow` belongs to a 405 only, where the error handler sets it."""
        return {}


def identity_of(request: Request) -> TokenIdentity:
    """Return whose token came with the request; `TokenAuthentication` lets none through without one."""
    return cast("TokenIdentity", request.auth)


def delivered(body: bytes, request: Request) -> HttpResponse:
    """Answer about profiles, as the request's headers want it."""
    status, headers, sent = delivery.deliver(body, request.META)
    answer = HttpResponse(sent, status=status, headers=dict(headers))
    if not sent:
        del answer["Content-Type"]
    return answer


def _rate_headers(identity: TokenIdentity, seconds: float) -> dict[str, str]:
    rate = identity.limits["rate"]
    left = rates.left(identity)
    return {
        "RateLimit-Limit": f"{rate:g}",
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": str(math.ceil(seconds) if seconds else 0 if left else 1),
    }


def destination_id(given: object) -> str:
    """Return a destination's id. Raises `InvalidDestination` when it is not even a text."""
    if not isinstance(given, str):
        raise InvalidDestination
    return given


def raw_body(request: Request, *, most: int = bodies.MAX_BODY_BYTES) -> bytes:
    """Read a body of at most `most` bytes. Raises `BodyTooLarge`, before reading if the client told the length."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > most:
        raise bodies.BodyTooLarge(most)
    body: bytes = request.body
    return body
