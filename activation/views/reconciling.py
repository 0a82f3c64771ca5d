"""A destination's page *Reconcile*: look for what no source accounts for, see what it is, have it removed."""

import re

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import reconcile_pages, reconciles
from activation.access import destination_for
from activation.models import Reconcile, RedisDestination
from activation.views import waking


@require_safe
@organisation_page()
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show the newest look and what it found; polled by htmx, only its state."""
    row = destination_for(request.actor, destination)
    newest = reconciles.newest(row)
    context = {
        "destination": row,
        "look": newest,
        "told": None if newest is None else reconcile_pages.tell(newest),
        "advice": reconciles.advice(row),
        "may_reconcile": request.actor.may(Permission.MANAGE_ACTIVATION),
        "has_sources": row.sources.exists(),
    }
    template = "activation/_reconcile_state.html" if request.htmx else "activation/reconcile.html"
    response = render(request, template, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@require_POST
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def start(request: SignedInRequest, destination: str) -> HttpResponse:
    """Look through a destination, or look again for views that were chosen from the last look."""
    row = destination_for(request.actor, destination)
    now = timezone.now()
    last = reconciles.newest(row)
    chosen = [] if last is None else _chosen(request, last)
    if "look" in request.POST and not chosen:
        messages.error(request, "Choose at least one feature view.")
        return _to_page(request, row)
    try:
        if chosen and last is not None:
            reconciles.cancel(last, by=request.actor, now=now)
        look = reconciles.request(row, also=chosen, by=request.actor, now=now)
    except (reconciles.AlreadyReconciling, reconciles.NothingToReconcile, reconciles.DestinationMoves) as refusal:
        messages.error(request, str(refusal))
    else:
        waking.for_reconcile(look)
    return _to_page(request, row)


@require_POST
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def confirm(request: SignedInRequest, destination: str) -> HttpResponse:
    """Have removed what was found."""
    row = destination_for(request.actor, destination)
    look = row.reconciles.filter(public_id=request.POST.get("look", "")).first()
    removing = request.POST.get("removing", "")
    seen = int(removing) if re.fullmatch("[0-9]{1,18}", removing) else -1
    if look is None:
        messages.error(request, str(reconciles.NotWaiting()))
        return _to_page(request, row)
    try:
        reconciles.confirm(look, removing=seen, by=request.actor, now=timezone.now())
    except reconciles.NotWaiting as refusal:
        messages.error(request, str(refusal))
    return _to_page(request, row)


@require_POST
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def stop(request: SignedInRequest, destination: str) -> HttpResponse:
    """End a look that nobody has confirmed; nothing was changed by it."""
    row = destination_for(request.actor, destination)
    last = reconciles.newest(row)
    if last is not None and reconciles.cancel(last, by=request.actor, now=timezone.now()):
        messages.success(request, "Stopped. Nothing was changed in Redis.")
    return _to_page(request, row)


def _chosen(request: SignedInRequest, last: Reconcile) -> list[reconciles.View]:
    """Return the views whose boxes were ticked, if the look is still the one that was shown."""
    if request.POST.get("look") != last.public_id:
        return []
    ticked = set(request.POST.getlist("view"))
    return [view for number, (view, _) in enumerate(reconciles.unclaimed(last)) if str(number) in ticked]


def _to_page(request: SignedInRequest, row: RedisDestination) -> HttpResponseRedirect:
    return see_other("activation:reconcile", organisation=request.organisation.slug, destination=row.public_id)
