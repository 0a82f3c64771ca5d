"""Sync runs: a source's history, and one run with its phases, counts and what went wrong."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, organisation_page
from accounts.roles import Permission
from accounts.vault import SecretUnreadable
from activation import (
    failed_ids,
    guard,
    move_pages,
    offers,
    previews,
    removals,
    run_links,
    run_pages,
    run_words,
    source_settings,
    syncs,
)
from activation.access import run_for, source_for
from activation.follow_ups import FollowUp
from activation.models import SyncRun
from activation.standings import of_run

_PER_PAGE = 50


@require_safe
@organisation_page()
def show_source(request: SignedInRequest, source: str) -> HttpResponse:
    """List a source's runs, newest first, with what can be done about it; polled by htmx, only its state."""
    row = source_for(request.actor, source)
    page = Paginator(row.runs.order_by("-queued_at", "-pk"), _PER_PAGE).get_page(request.GET.get("page"))
    active = syncs.active_run(row)
    context = {
        "source": row,
        "page": page,
        "rows": run_pages.lines(page, now=timezone.now()),
        "active": active,
        "active_word": of_run(active)[1] if active else "",
        "follow_up": FollowUp.of(row),
        "served": syncs.is_served(row),
        "may_sync": request.actor.may(Permission.RUN_SYNCS),
        "preview": previews.newest(row),
        "ids_words": source_settings.ids_words(row),
        "may_remove": removals.has_left(row) and request.actor.may(Permission.MANAGE_ACTIVATION),
        "may_leave": removals.is_stuck(row) and request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    template = "activation/_source_state.html" if request.htmx else "activation/source.html"
    response = render(request, template, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@require_safe
@organisation_page()
def show_run(request: SignedInRequest, run: str) -> HttpResponse:
    """Show one run; polled by htmx while it is under way, only its state."""
    row = run_for(request.actor, run)
    beside = run_links.neighbours(row)
    context = {
        "run": row,
        "beside": beside,
        "repair": run_links.repair(row, newer=beside.newer, by=request.actor),
        "told": run_pages.tell(row, now=timezone.now()),
        "may_sync": request.actor.may(Permission.RUN_SYNCS),
        "may_see_ids": request.actor.may(Permission.SEE_PERSONAL_DATA),
        "offer": offers.of_run(row),
        "waits_for_choice": guard.is_waiting(row, row.source),
        "may_confirm": request.actor.may(Permission.MANAGE_ACTIVATION),
        "may_leave": row.kind == SyncRun.Kind.REMOVAL
        and request.actor.may(Permission.MANAGE_ACTIVATION)
        and removals.is_stuck(row.source),
        "at_place": move_pages.place_words(row.source, removal=row.kind == SyncRun.Kind.REMOVAL),
    }
    page = "activation/_run_state.html" if request.htmx else "activation/run.html"
    response = render(request, page, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@never_cache
@require_safe
@organisation_page(permission=Permission.SEE_PERSONAL_DATA)
def show_failed_ids(request: SignedInRequest, run: str) -> HttpResponse:
    """Show some of the ids whose rows failed, in clear; that somebody looked is in the audit log."""
    row = run_for(request.actor, run)
    try:
        samples = failed_ids.in_clear(row, by=request.actor, now=timezone.now())
    except SecretUnreadable as error:
        return render(request, "activation/failed_ids.html", {"run": row, "problem": str(error)})
    found = [(run_words.failure(sample.reason), sample) for sample in samples]
    return render(request, "activation/failed_ids.html", {"run": row, "samples": found})
