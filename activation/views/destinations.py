"""The organisation's Redis destinations: the list, and each one's settings and sources. Secrets are never shown."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts import lists
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import destination_list, destinations, moves, reconciles, server_page, source_list, trial_calls
from activation.access import destination_for
from activation.forms import PaceForm
from activation.models import RedisDestination

_PER_PAGE = 50


@require_safe
@organisation_page()
def show_list(request: SignedInRequest) -> HttpResponse:
    """List the destinations with their state, their projects and what they were asked; searched and sorted by URL."""
    every = destination_list.of(request.actor, now=timezone.now())
    context = {"listing": lists.of(request, every, destination_list.found, per_page=_PER_PAGE)}
    return render(request, "activation/destinations.html", context)


@require_safe
@organisation_page()
def show_settings(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show a destination's id and how it is reached."""
    row = destination_for(request.actor, destination)
    may_change = request.actor.may(Permission.MANAGE_CREDENTIALS)
    context = {
        "destination": row,
        "facts": _facts(row),
        "may_change": may_change,
        "may_try": trial_calls.may(request.actor),
        "move": moves.open_move(row),
        "servers": server_page.of(row),
    }
    return render(request, "activation/destination.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def pace(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show and change how fast syncs may write into a destination."""
    row = destination_for(request.actor, destination)
    initial = {"rows_per_second": row.rows_per_second}
    form = PaceForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        limit = form.cleaned_data["rows_per_second"]
        destinations.limit_pace(row, rows_per_second=limit, by=request.actor, now=timezone.now())
        messages.success(request, "The limit is changed." if limit else "There is no limit any more.")
        return see_other("activation:destination", organisation=request.organisation.slug, destination=row.public_id)
    context = {"destination": row, "form": form}
    return render(request, "activation/destination_pace.html", context, status=422 if form.errors else 200)


@require_safe
@organisation_page()
def show_sources(request: SignedInRequest, destination: str) -> HttpResponse:
    """Show where each source that writes to a destination stands; searched and sorted by URL."""
    row = destination_for(request.actor, destination)
    every = source_list.of(request.actor, row, now=timezone.now())
    listing = lists.of(request, every, source_list.found, per_page=_PER_PAGE)
    context = {"destination": row, "listing": listing, "advice": reconciles.advice(row), "move": moves.open_move(row)}
    return render(request, "activation/destination_sources.html", context)


def _facts(destination: RedisDestination) -> list[tuple[str, object]]:
    given = destination.settings
    facts: list[tuple[str, object]] = [
        ("Address", given.get("address")),
        ("Cluster Mode", bool(given.get("clusterMode"))),
        ("Secure", bool(given.get("secure"))),
        ("Username", given.get("username") or "The default user"),
        ("Password and certificates", "Kept encrypted, never shown"),
    ]
    if given.get("sentinelService"):
        facts.insert(2, ("Sentinel service", given["sentinelService"]))
    if given.get("secure"):
        facts.insert(facts.index(("Secure", True)) + 1, ("Skip verify", bool(given.get("skipVerify"))))
    if given.get("readFromReplicas"):
        facts.append(("Read from replicas", True))
    if given.get("useJSONModule"):
        facts.append(("Stored as", "JSON documents"))
    if not given.get("clusterMode"):
        facts.append(("Database", str(given.get("database", 0))))
    return [*facts, ("Connected", destination.created_at)]
