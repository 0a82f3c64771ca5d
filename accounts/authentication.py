"""DRF authentication: `Authorization: Bearer <token>` → `TokenIdentity`."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request


class TokenAuthentication(BaseAuthentication):
    """Reads the bearer token."""

    def authenticate(self, request: Request) -> None:
        """Find out whose token it is."""
