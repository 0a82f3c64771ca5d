"""Whether a person's overview shows the first steps."""

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from accounts import members
from accounts.access import SignedInRequest, organisation_page, see_other


@require_POST
@organisation_page()
def show_or_hide(request: SignedInRequest) -> HttpResponse:
    """Hide them from the person's overview, or show them again."""
    members.hide_first_steps(hidden=request.POST.get("show") != "1", by=request.actor)
    return see_other("accounts:overview", organisation=request.organisation.slug)
