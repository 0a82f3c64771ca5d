"""Turning the sync off, with or without the profiles, and removing those of a source that is not synced any more."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import enabling, removals, server_looks
from activation.access import source_for
from activation.forms import DisableForm, LeaveForm
from activation.models import Source
from activation.views import waking
from projects.models import Project
from projects.pages import project_page

_ASKED = ["GET", "HEAD", "POST"]


@require_http_methods(_ASKED)
@project_page(permission=Permission.MANAGE_ACTIVATION)
def disable(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask before turning the sync off, and whether the profiles go as well, then do."""
    form = DisableForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "activation/disable.html", {"project": project, "form": form})
    remove = form.cleaned_data["remove"]
    enabling.disable(project, by=request.actor, now=timezone.now(), remove=remove)
    if remove:
        waking.for_syncs()
        messages.success(request, "The sync to Redis is off. Its profiles are being removed.")
    else:
        messages.success(request, "The sync to Redis is off. The profiles in Redis are still served.")
    return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)


@require_http_methods(_ASKED)
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def remove_source(request: SignedInRequest, source: str) -> HttpResponse:
    """Ask whether the profiles of a source that is not synced any more are to be removed, and do it."""
    row = source_for(request.actor, source)
    if request.method != "POST":
        return render(request, "activation/remove_source.html", {"project": row.activation.project, "source": row})
    try:
        run = removals.start(row, by=request.actor, now=timezone.now())
    except (removals.StillServed, removals.NothingLeft) as refusal:
        return _refused(request, row, refusal)
    waking.for_syncs()
    return see_other("activation:run", organisation=request.organisation.slug, run=run.public_id)


@require_http_methods(_ASKED)
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def leave_source(request: SignedInRequest, source: str) -> HttpResponse:
    """Ask before what cannot be removed is left in a Redis that is gone for good, then count it as removed."""
    row, now = source_for(request.actor, source), timezone.now()
    try:
        removals.require_stuck(row)
        others = removals.stuck_beside(row)
        form = LeaveForm(request.POST if request.method == "POST" else None, others=others)
        if form.is_valid():
            left = [row, *(others if form.cleaned_data.get("others") else ())]
            removals.leave_all_behind(left, by=request.actor, now=now)
            messages.success(request, "The removal is given up. What was left in Redis is not looked after any more.")
            return _to_source(request, row)
    except (removals.StillServed, removals.NothingLeft, removals.NotStuck) as refusal:
        return _refused(request, row, refusal)
    context = {
        "project": row.activation.project,
        "source": row,
        "form": form,
        "answered_at": server_looks.answered_at(row.destination, now=now),
    }
    return render(request, "activation/leave_source.html", context)


def _refused(request: SignedInRequest, row: Source, refusal: Exception) -> HttpResponseRedirect:
    messages.error(request, str(refusal))
    return _to_source(request, row)


def _to_source(request: SignedInRequest, row: Source) -> HttpResponseRedirect:
    return see_other("activation:source", organisation=request.organisation.slug, source=row.public_id)
