"""*Try it*: a call to the API from a destination's page.

An id that is typed here comes in the body of a POST, and it and the answer go back to the same person only: they are
in no address, no log and no audit row, and the page is not stored.
"""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page
from accounts.roles import Permission
from activation import samples, trial_calls
from activation.access import destination_for
from activation.handle import DestinationUnavailable
from activation.handles import InvalidDestination, ServiceUnavailable
from activation.models import RedisDestination
from activation.trial_form import TrialForm

_REFUSALS = (
    trial_calls.NoSample,
    trial_calls.TooManyTrials,
    DestinationUnavailable,
    InvalidDestination,
    ServiceUnavailable,
)


@sensitive_post_parameters("value")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.CALL_ACTIVATION_API)
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show the form; posted, also what the API answered."""
    request.actor.require(Permission.SEE_PERSONAL_DATA)
    row = destination_for(request.actor, destination)
    if request.method != "POST":
        form = TrialForm(initial={"source": request.GET.get("source")}, destination=row)
        return _page(request, row, form)
    form = TrialForm(request.POST, destination=row)
    if not form.is_valid():
        return _page(request, row, form, status=422)
    by = request.actor
    try:
        if form.wants_sample:
            form = form.with_value(trial_calls.sample_id(form.chosen, by=by))
        answer = trial_calls.make(form.chosen, form.cleaned_data["value"], by=by, now=timezone.now())
    except _REFUSALS as refusal:
        return _page(request, row, form, refusal=str(refusal))
    return _page(request, row, form, answer=answer, source=form.chosen, samples=samples.of_body(answer.request))


def _page(
    request: SignedInRequest, row: RedisDestination, form: TrialForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"destination": row, "form": form, **more}
    return render(request, "activation/try_it.html", context, status=status)
