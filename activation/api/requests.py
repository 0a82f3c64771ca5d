"""What every view of the Activation API needs of a request: whose token, which body, and the token's rate."""

from typing import cast

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts.identities import TokenIdentity
from activation import rates
from activation.api import bodies
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


def identity_of(request: Request) -> TokenIdentity:
    """Return whose token came with the request; `TokenAuthentication` lets none through without one."""
    return cast("TokenIdentity", request.auth)


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
