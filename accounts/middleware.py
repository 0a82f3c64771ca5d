"""Sends every page to the set-up page while the installation has no organisation."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from accounts import setup

# The API, its reference, the probes, the guides and the files of the set-up page itself answer for themselves.
_OPEN = ("/static/", "/help/", "/docs/", "/v1/", "/v2/", "/healthz", "/readyz", "/metrics")


class SetUpFirst:
    """Asks the database until it has seen an organisation, and never again after that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._done = False

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the set-up page's address, or let the request through."""
        page = reverse("accounts:setup")
        if self._done or request.path == page or request.path.startswith(_OPEN):
            return self.get_response(request)
        if setup.needed():
            return redirect(page)
        self._done = True
        return self.get_response(request)
