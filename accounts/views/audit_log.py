"""The audit log's page."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.access import SignedInRequest, organisation_page
from accounts.roles import Permission

ROWS_A_PAGE = 50


@require_safe
@organisation_page(permission=Permission.SEE_AUDIT_LOG)
def audit_log(request: SignedInRequest) -> HttpResponse:
    """List who did what, newest first."""
    page = Paginator(audit.of(request.actor), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/audit_log.html", {"page": page})
