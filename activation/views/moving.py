"""A destination's page *Move*: test another place and begin, watch how far the move is, cancel it or help it on."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import move_pages, moves, probes
from activation.access import destination_for, probe_for
from activation.destinations import DestinationInvalid
from activation.models import DestinationMove, DestinationProbe, RedisDestination
from activation.place_forms import MoveForm
from activation.views import earlier_tries, probing, waking

_ANY = ["GET", "HEAD", "POST"]
_MOVE = DestinationProbe.Purpose.MOVE


@require_http_methods(_ANY)
@organisation_page()
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show where a move is, polled by htmx; or ask where to move, and have that place tested."""
    row = destination_for(request.actor, destination)
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_CREDENTIALS)
        return _test(request, row)
    if request.htmx and moves.open_move(row) is None:
        return HttpResponseClientRefresh()
    return _page(request, row)


@require_safe
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def watch(request: SignedInRequest, destination: str, probe: str) -> HttpResponse:
    """Show how far the test of the new place is; when it failed, the form again with everything but the secrets."""
    row = destination_for(request.actor, destination)
    found = probe_for(request.actor, probe)
    if found.destination_id != row.pk or found.purpose != _MOVE:
        raise Http404
    return probing.watched(
        request,
        found,
        passed=("The new place is tested, and the move has begun.", _to_page(request, row)),
        again=lambda: _page(request, row, form=_again(request, row, found), probe=found),
        page="activation/destination_probe.html",
        context={"destination": row, "back_to": "activation:move", "back_words": "Move"},
    )


@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def cancel(request: SignedInRequest, destination: str) -> HttpResponse:
    """Ask before a move is given up, then keep the old place."""
    row = destination_for(request.actor, destination)
    move = moves.open_move(row)
    if move is None or move.state not in DestinationMove.BEFORE_SWITCH:
        return _gone_on(request, row)
    if request.method != "POST":
        return render(request, "activation/move_cancel.html", {"destination": row, "move": move})
    try:
        moves.cancel(move, by=request.actor, now=timezone.now())
    except moves.NotToBeDone:
        return _gone_on(request, row)
    waking.for_syncs()
    return _to_page(request, row)


@require_POST
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def try_again(request: SignedInRequest, destination: str) -> HttpResponse:
    """Start what failed at the place that is not served once more."""
    row = destination_for(request.actor, destination)
    move = moves.open_move(row)
    try:
        if move is None:
            return _gone_on(request, row)
        moves.try_again(move, by=request.actor, now=timezone.now())
    except moves.NotToBeDone:
        return _gone_on(request, row)
    waking.for_syncs()
    return _to_page(request, row)


@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def leave(request: SignedInRequest, destination: str) -> HttpResponse:
    """Ask before what is left at the place that is not served is left there for good, then end the move."""
    row = destination_for(request.actor, destination)
    move = moves.open_move(row)
    if move is None or move.state in DestinationMove.BEFORE_SWITCH:
        return _gone_on(request, row)
    if request.method != "POST":
        cancelled = move.state == DestinationMove.State.CANCELLING
        context = {"destination": row, "move": move, "place": move.target if cancelled else move.origin}
        return render(request, "activation/move_leave.html", context)
    try:
        moves.leave_behind(move, by=request.actor, now=timezone.now())
    except moves.NotToBeDone:
        return _gone_on(request, row)
    messages.success(request, "The move ends. What was left there is not looked after any more.")
    return _to_page(request, row)


def _test(request: SignedInRequest, row: RedisDestination) -> HttpResponse:
    """Check what was typed and ask for the test that the move begins with."""
    earlier = earlier_tries.of(request, purpose=_MOVE, destination=row)
    form = MoveForm(request.POST, destination=row, **earlier_tries.kept(earlier))
    if not form.is_valid():
        return _page(request, row, form=form)
    settings, credentials = form.plain()
    try:
        moves.verify(row, settings=settings, credentials=credentials)
    except DestinationInvalid as invalid:
        for name, words in invalid.errors.items():
            form.add_error(name if name in form.fields else None, words)
        return _page(request, row, form=form)
    except moves.MoveRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, row, form=form)
    probe = probing.ask(request, form, aim=probes.Aim(purpose=_MOVE, destination=row), name=row.name)
    if probe is None:
        return _page(request, row, form=form)
    where = {"organisation": request.organisation.slug, "destination": row.public_id, "probe": probe.public_id}
    return see_other("activation:move_probe", **where)


def _again(request: SignedInRequest, row: RedisDestination, probe: DestinationProbe) -> MoveForm:
    """Return the form as it was filled in for a failed test."""
    initial = {**probe.settings, "earlier": probe.public_id}
    return MoveForm(initial=initial, destination=row, **earlier_tries.kept(earlier_tries.own(request, probe)))


def _page(
    request: SignedInRequest,
    row: RedisDestination,
    *,
    form: MoveForm | None = None,
    probe: DestinationProbe | None = None,
) -> HttpResponse:
    """Show the newest move, and the form where none is open and the person may begin one."""
    move = moves.newest(row)
    told = None if move is None else move_pages.tell(move, now=timezone.now())
    may_move = request.actor.may(Permission.MANAGE_CREDENTIALS)
    is_open = told is not None and told.active
    context = {
        "destination": row,
        "move": move,
        "told": told,
        "may_move": may_move,
        "form": None if is_open or not may_move else form or MoveForm(destination=row),
        "hindrances": [] if is_open else moves.hindrances_of(row),
        "probe": None if is_open else probe,
    }
    refused = form is not None and form.is_bound
    template = "activation/_move_state.html" if request.htmx else "activation/move.html"
    response = render(request, template, context, status=422 if refused else 200)
    patch_vary_headers(response, ("HX-Request",))
    return response


def _gone_on(request: SignedInRequest, row: RedisDestination) -> HttpResponseRedirect:
    messages.info(request, str(moves.NotToBeDone()))
    return _to_page(request, row)


def _to_page(request: SignedInRequest, row: RedisDestination) -> HttpResponseRedirect:
    return see_other("activation:move", organisation=request.organisation.slug, destination=row.public_id)
