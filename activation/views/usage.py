"""A destination's tab *Usage*: what applications asked of it, and the same as a file."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, organisation_page
from activation import server_page, usage_page
from activation.access import destination_for
from activation.usage_form import UsageForm


@require_safe
@organisation_page()
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show requests, hit rate, errors and latencies by hour, of what the address chooses."""
    row, now = destination_for(request.actor, destination), timezone.now()
    form = UsageForm(request.GET, destination=row, by=request.actor)
    given = form.cleaned_data if form.is_valid() else {}
    span = usage_page.range_of(given)
    page = usage_page.of(usage_page.asked_of(row, given, now=now), span, by=request.actor, now=now)
    form.offer(page.used_tokens)
    context = {
        "destination": row,
        "form": form,
        "filtered": any(given.get(name) for name in ("entity", "id_type", "token")),
        "span": span,
        "range": given.get("range") or usage_page.DEFAULT_RANGE,
        "usage": page,
        "servers": server_page.of(row),
        "query": request.GET.urlencode(),
    }
    return render(request, "activation/usage.html", context)


@require_safe
@organisation_page()
def export(request: SignedInRequest, destination: str) -> HttpResponse:
    """Send the hours that the address chooses as a CSV file."""
    row, now = destination_for(request.actor, destination), timezone.now()
    form = UsageForm(request.GET, destination=row, by=request.actor)
    if not form.is_valid():
        raise Http404
    text = usage_page.as_csv(usage_page.asked_of(row, form.cleaned_data, now=now), now=now)
    answer = HttpResponse(text, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="usage-{now:%Y%m%d-%H%M}.csv"'
    return answer
