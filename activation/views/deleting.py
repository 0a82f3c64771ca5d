"""A destination's page *Delete*: what holds it, and once nothing does, a question before it is forgotten."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import destinations, holders
from activation.access import destination_for
from activation.destinations import DestinationInUse
from projects.forms import DeleteForm

_PER_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.DELETE_THINGS)
def delete(request: SignedInRequest, destination: str) -> HttpResponse:
    """Tell what must be done first, or delete the destination after its name was typed."""
    row = destination_for(request.actor, destination)
    form = DeleteForm(request.POST if request.method == "POST" else None, expected=row.name)
    if form.is_valid():
        try:
            destinations.delete(row, by=request.actor, now=timezone.now())
        except DestinationInUse as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{row.name} is deleted.")
            return see_other("activation:destinations", request.organisation.slug)
    held = holders.of(row)
    context = {
        "destination": row,
        "form": form,
        "holders": held,
        "page": Paginator(held.projects, _PER_PAGE).get_page(request.GET.get("page")),
        "suppressions": row.suppressions.filter(lifted_at=None).count(),
    }
    return render(request, "activation/destination_delete.html", context, status=422 if form.errors else 200)
