"""One WSGI callable for the shared port: `/v1/` and `/v2/` go to a lean handler, all else to the pages.

`api` alone is the callable of a separate api process. The lean handler has no sessions, no CSRF, no cookies and no
page headers; it does not look at the Host header, because nothing it answers contains one. Plain reads are answered
before it (`activation.api.fast`) unless `FAST_READS` is off. What is too much is refused before either
(`config.overload`), and a process that leaves ends its connections (`config.departure`).
"""

import io
import os
from typing import TYPE_CHECKING

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.template.loader import get_template
from django.urls import get_resolver

from activation import usage
from activation.api import fast
from activation.api.bodies import MAX_BATCH_BYTES
from config import arrivals, departure, health, queues
from config.server_timing import from_its_turn_on, timed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import ResolverMatch

    from config.overload import Queue

WATCHED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
API_PATHS = ("/v1/", "/v2/")


class ApiHandler(WSGIHandler):
    """Django's handler with the API's own middleware and addresses."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "HttpResponseBase":
        """Answer a request."""
        environ.setdefault(health.ROLE, health.API)
        if not environ.get("CONTENT_LENGTH") and "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            _gather_chunks(environ)
        return super().__call__(environ, start_response)

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        """Build the chain from `API_MIDDLEWARE` instead of `MIDDLEWARE`."""
        pages = settings.MIDDLEWARE
        settings.MIDDLEWARE = settings.API_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = pages

    def resolve_request(self, request: "HttpRequest") -> "ResolverMatch":
        """Resolve with the API's addresses only."""
        request.urlconf = settings.API_URLCONF
        match: ResolverMatch = super().resolve_request(request)
        return match


def _gather_chunks(environ: "WSGIEnvironment") -> None:
    """Give a body of unknown length a length; Django reads none without.

    One byte more than any call takes is enough for each to refuse it; less would be taken for the whole.
    """
    body = environ["wsgi.input"].read(MAX_BATCH_BYTES + 1)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)


class Named:
    """Gives an answer the `X-Request-ID` of its request, so that both are found in a caller's logs by one name."""

    def __init__(self, handler: "WSGIApplication") -> None:
        self._handler = handler

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request."""
        name: str = environ.get("HTTP_X_REQUEST_ID", "")
        if not arrivals.REQUEST_NAME.fullmatch(name):
            return self._handler(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *more: "Any") -> "Any":
            return start_response(status, [*headers, ("X-Request-ID", name)], *more)

        return self._handler(environ, start)


lean = ApiHandler()
usage.keep_writing()
reads: "WSGIApplication" = fast.Reads(lean) if settings.FAST_READS else lean
_api = Named(timed(queues.api.guard(from_its_turn_on(reads))))
_watched = Named(lean)
pages = WSGIHandler()
_pages = queues.pages.guard(pages)


class ApiPort:
    """The callable of a separate api process. `first` is for servers with an event loop (`config.front`)."""

    def __init__(self) -> None:
        self.first = arrivals.Arrivals(self.queue_for, reads=settings.FAST_READS)

    def queue_for(self, path: str) -> "Queue | None":
        """Name the queue in which calls wait."""
        return None if path in WATCHED_PATHS else queues.api

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request by WSGI."""
        if departure.this.under_way:
            start_response = departure.last_of_connection(environ, start_response)
        handler = _watched if environ.get("PATH_INFO") in WATCHED_PATHS else _api
        return handler(environ, start_response)


class SharedPort:
    """The callable of the shared port. `first` is for servers with an event loop (`config.front`)."""

    def __init__(self) -> None:
        self.first = arrivals.Arrivals(self.queue_for, reads=settings.FAST_READS)

    def prepare(self) -> None:
        """Load the views and templates of pages, for which their first visitors would wait otherwise."""
        get_resolver().url_patterns  # noqa: B018 - reading them imports the views
        folder = settings.BASE_DIR / "templates"
        for file in folder.rglob("*.html"):
            get_template(str(file.relative_to(folder)))

    def queue_for(self, path: str) -> "Queue | None":
        """Name the queue in which requests wait."""
        return api.queue_for(path) if path in WATCHED_PATHS or path.startswith(API_PATHS) else queues.pages

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Send a request to the handler it is for. Health checks come by IP address, so no Host header is asked."""
        path: str = environ.get("PATH_INFO", "")
        if path.startswith(API_PATHS):
            return api(environ, start_response)
        if path in WATCHED_PATHS:
            environ[health.ROLE] = health.WEB
            return api(environ, start_response)
        if departure.this.under_way:
            start_response = departure.last_of_connection(environ, start_response)
        return _pages(environ, start_response)


api = ApiPort()
application = SharedPort()
