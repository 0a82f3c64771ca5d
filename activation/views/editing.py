"""A destination's page *Edit*: its name, and how it is reached, which is tested before it is saved."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import destinations, probes
from activation.access import destination_for, probe_for
from activation.destinations import DestinationInvalid
from activation.models import DestinationProbe, RedisDestination
from activation.place_forms import EditForm, NameForm, stored
from activation.views import earlier_tries, probing

_ANY = ["GET", "HEAD", "POST"]
_EDIT = DestinationProbe.Purpose.EDIT


@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """Ask how the destination is reached, and have that tested; what passes is saved."""
    row = destination_for(request.actor, destination)
    if request.method != "POST":
        return _page(request, row)
    form = _form(row, data=request.POST, earlier=earlier_tries.of(request, purpose=_EDIT, destination=row))
    if not form.is_valid():
        return _page(request, row, form=form)
    probe = probing.ask(request, form, aim=probes.Aim(purpose=_EDIT, destination=row), name=row.name)
    if probe is None:
        return _page(request, row, form=form)
    where = {"organisation": request.organisation.slug, "destination": row.public_id, "probe": probe.public_id}
    return see_other("activation:edit_probe", **where)


@require_safe
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def watch(request: SignedInRequest, destination: str, probe: str) -> HttpResponse:
    """Show how far the test is; when it failed, the form again with everything but the secrets."""
    row = destination_for(request.actor, destination)
    found = probe_for(request.actor, probe)
    if found.destination_id != row.pk or found.purpose != _EDIT:
        raise Http404
    mine = earlier_tries.own(request, found)
    return probing.watched(
        request,
        found,
        passed=(
            "The connection is tested and saved. Everything uses it within a second.",
            see_other("activation:destination", request.organisation.slug, row.public_id),
        ),
        again=lambda: _page(request, row, form=_form(row, earlier=mine), probe=found),
        page="activation/destination_probe.html",
        context={"destination": row, "back_to": "activation:edit", "back_words": "Edit"},
    )


@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def rename(request: SignedInRequest, destination: str) -> HttpResponse:
    """Ask what the destination is called."""
    row = destination_for(request.actor, destination)
    form = NameForm(request.POST if request.method == "POST" else None, initial={"name": row.name})
    if form.is_valid():
        try:
            destinations.rename(row, name=form.cleaned_data["name"], by=request.actor, now=timezone.now())
        except DestinationInvalid as invalid:
            form.add_error("name", str(invalid))
        else:
            messages.success(request, "The name is changed.")
            return see_other("activation:destination", request.organisation.slug, row.public_id)
    context = {"destination": row, "form": form}
    return render(request, "activation/destination_name.html", context, status=422 if form.errors else 200)


def _form(
    row: RedisDestination, *, data: Mapping[str, object] | None = None, earlier: DestinationProbe | None
) -> EditForm:
    """Return the form; what is stored, or what an earlier try used, stands in for secrets that are left empty."""
    kept = earlier_tries.kept(earlier)
    if not kept.get("kept"):
        kept = stored(row)
    initial = None if earlier is None else {**earlier.settings, "earlier": earlier.public_id}
    return EditForm(data, destination=row, initial=initial, **kept)


def _page(
    request: SignedInRequest,
    row: RedisDestination,
    *,
    form: EditForm | None = None,
    probe: DestinationProbe | None = None,
) -> HttpResponse:
    form = form or _form(row, earlier=None)
    context = {"destination": row, "form": form, "probe": probe}
    return render(request, "activation/destination_edit.html", context, status=422 if form.is_bound else 200)
