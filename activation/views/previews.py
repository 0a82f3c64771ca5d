"""*Preview changes*: ask for a preview, watch it, look at its documents."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from accounts.vault import SecretUnreadable
from activation import preview_pages, previews
from activation.access import preview_for, source_for
from activation.previews import SampleExpired
from activation.syncs import SourceRetired
from activation.views import waking


@require_POST
@organisation_page(permission=Permission.RUN_SYNCS)
def start(request: SignedInRequest, source: str) -> HttpResponse:
    """Ask what a sync of a source would do."""
    row = source_for(request.actor, source)
    try:
        asked = previews.request(row, by=request.actor, now=timezone.now())
    except SourceRetired as refusal:
        messages.error(request, str(refusal))
        return see_other("activation:source", organisation=request.organisation.slug, source=row.public_id)
    waking.for_preview(asked)
    return see_other("activation:preview", organisation=request.organisation.slug, preview=asked.public_id)


@require_safe
@organisation_page()
def show(request: SignedInRequest, preview: str) -> HttpResponse:
    """Show a preview; polled by htmx while it is under way."""
    row = preview_for(request.actor, preview)
    context = {
        "preview": row,
        "told": preview_pages.tell(row),
        "result": row.result,
        "has_documents": previews.has_documents(row, now=timezone.now()),
        "may_see": request.actor.may(Permission.SEE_PERSONAL_DATA),
        "may_sync": request.actor.may(Permission.RUN_SYNCS),
        "may_change": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    page = "activation/_preview_state.html" if request.htmx else "activation/preview.html"
    response = render(request, page, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@never_cache
@require_safe
@organisation_page(permission=Permission.SEE_PERSONAL_DATA)
def show_documents(request: SignedInRequest, preview: str) -> HttpResponse:
    """Show some profiles before and after; that somebody looked is in the audit log."""
    row = preview_for(request.actor, preview)
    try:
        found = previews.documents(row, by=request.actor, now=timezone.now())
    except (SampleExpired, SecretUnreadable) as error:
        return render(request, "activation/preview_documents.html", {"preview": row, "problem": str(error)})
    context = {"preview": row, "documents": [preview_pages.shown(document) for document in found]}
    return render(request, "activation/preview_documents.html", context)
