"""The audit log's page, and the files it is taken away as."""

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import audit_search
from accounts.access import SignedInRequest, organisation_page
from accounts.audit_form import SearchForm
from accounts.roles import Permission

ROWS_A_PAGE = 50
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@require_safe
@organisation_page(permission=Permission.SEE_AUDIT_LOG)
def audit_log(request: SignedInRequest) -> HttpResponse:
    """List who did what, newest first, as far as it was looked for."""
    form = SearchForm(request.GET)
    search = form.search if form.is_valid() else audit_search.Search()
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "form": form,
        "searched": bool(search.words()),
        "page": Paginator(audit_search.find(search, by=request.actor), ROWS_A_PAGE).get_page(request.GET.get("page")),
        "actions": audit_search.recent_actions(request.actor),
        "query": query.urlencode(),
    }
    return render(request, "accounts/audit_log.html", context)


@require_safe
@organisation_page(permission=Permission.SEE_AUDIT_LOG)
def audit_export(request: SignedInRequest, format: str) -> HttpResponseBase:  # noqa: A002 - the word for it
    """Send the rows that were looked for as a file."""
    form = SearchForm(request.GET)
    if format not in _TYPES or not form.is_valid():
        raise Http404
    now = timezone.now()
    kind: audit_search.Format = "csv" if format == "csv" else "json"
    parts = audit_search.export(form.search, format=kind, by=request.actor, now=now)
    answer = StreamingHttpResponse(parts, content_type=_TYPES[format])
    name = f"audit-log-{request.organisation.slug}-{now:%Y%m%d-%H%M%S}.{format}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer
