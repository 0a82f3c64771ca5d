"""Connection tests asked for on pages: ask for one, and watch it until what it was asked for is done or corrected."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect

from accounts.access import SignedInRequest
from activation import probes
from activation.models import DestinationProbe
from activation.server_form import ServerForm
from activation.views import waking

_State = DestinationProbe.State


def ask(
    request: SignedInRequest,
    form: ServerForm,
    *,
    aim: probes.Aim,
    name: str,
    adopted: Mapping[str, str] | None = None,
) -> DestinationProbe | None:
    """Ask for a test of what a valid form says; None, with the reason on the form, when there were too many."""
    settings, credentials = form.plain()
    try:
        probe = probes.request(
            aim=aim,
            name=name,
            settings=settings,
            credentials=credentials,
            adopted=adopted or {},
            by=request.actor,
            now=timezone.now(),
        )
    except probes.TooManyProbes as refusal:
        form.add_error(None, str(refusal))
        return None
    waking.for_probe(probe)
    return probe


def watched(
    request: SignedInRequest,
    probe: DestinationProbe,
    *,
    passed: tuple[str, HttpResponseRedirect],
    again: Callable[[], HttpResponse],
    page: str,
    context: Mapping[str, Any],
) -> HttpResponse:
    """Show how far a test is, polled by htmx; when it failed, `again` shows the form that it began with.

    `passed` are the words and the way on once it did what it was asked for. `page` shows the test under way.
    """
    if probe.state == _State.PASSED:
        words, target = passed
        messages.success(request, words)
        return HttpResponseClientRedirect(target.url) if request.htmx else target
    if probe.state == _State.FAILED:
        return HttpResponseClientRedirect(request.path) if request.htmx else again()
    template = "activation/_probe.html" if request.htmx else page
    response = render(request, template, {**context, "probe": probe})
    patch_vary_headers(response, ("HX-Request",))
    return response
