"""One WSGI callable for the shared port: `/v1/` and `/v2/` go to a lean handler, all else to the pages.

`api` alone is the callable of a separate api process.
"""

import os
from typing import TYPE_CHECKING

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class ApiHandler(WSGIHandler):
    """Django's handler with the API's own middleware and addresses."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain from `API_MIDDLEWARE` instead of `MIDDLEWARE`."""
        pages = settings.MIDDLEWARE
        settings.MIDDLEWARE = settings.API_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = pages

    def resolve_request(self, request: HttpRequest):  # type: ignore[no-untyped-def]  # Django's has no types either
        """Resolve with the API's addresses only."""
        request.urlconf = settings.API_URLCONF  # type: ignore[attr-defined]  # Django's documented attribute
        return super().resolve_request(request)


api = ApiHandler()
_pages = WSGIHandler()


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Send a request to the handler it is for."""
    path: str = environ.get("PATH_INFO", "")
    handler = api if path.startswith(("/v1/", "/v2/")) else _pages
    return handler(environ, start_response)
