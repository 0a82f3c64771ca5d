"""DRF authentication: `Authorization: Bearer <token>` → `request.auth: TokenIdentity`.

Every fault of the token, its absence included, is one `AuthenticationFailed`: the caller learns nothing from the
difference. What the answers look like is the API's business (`activation.api.errors`).
"""

from django.utils import timezone
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import tokens
from accounts.actors import Actor
from accounts.addresses import client_address
from accounts.tokens import TokenIdentity

SCHEME = "bearer"
RETRY_AFTER = 5


class IdentityServiceUnavailable(exceptions.APIException):
    """Tokens cannot be checked: 503 `service_unavailable`, to be tried again after `wait` seconds."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "service_unavailable"
    wait = RETRY_AFTER


class TokenAuthentication(BaseAuthentication):
    """Reads the bearer token. There is no other way in, so a request without one fails here already."""

    def authenticate(self, request: Request) -> tuple[Actor, TokenIdentity]:
        """Return the actor and the identity of the token.

        Raises DRF's `AuthenticationFailed`, or `IdentityServiceUnavailable`.
        """
        text = bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        try:
            identity = tokens.identify(text, now=timezone.now(), address=client_address(request.META))
        except tokens.TokenRejected as error:
            raise exceptions.AuthenticationFailed(str(error)) from None
        except tokens.IdentityUnavailable as error:
            raise IdentityServiceUnavailable(str(error)) from None
        return identity.actor, identity

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme, so that DRF answers 401 and not 403."""
        return "Bearer"


def bearer(header: str) -> str:
    """Return the token in an `Authorization` header, or "" when it names another scheme or none."""
    scheme, _, text = header.strip().partition(" ")
    return text.strip() if scheme.lower() == SCHEME else ""
