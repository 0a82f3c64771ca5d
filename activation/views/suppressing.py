"""Profiles deleted through the API: a destination's tab *Suppressions*, and a project's policy about them.

An id that is typed here comes in the body of a POST and goes back to the same person only: it is in no address, no log
and no audit row, and the page is not stored.
"""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import deleted_profiles, lifts
from activation.access import destination_for
from activation.models import Activation, DeletedProfilesPolicy, RedisDestination, Suppression
from activation.suppression_forms import LookUpForm, PolicyForm
from activation.suppressions import SuppressionKeyMissing
from projects.models import Project
from projects.pages import project_page

_ANY = ["GET", "HEAD", "POST"]
_PER_PAGE = 50


@sensitive_post_parameters("value")
@never_cache
@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_SUPPRESSIONS)
def show(request: SignedInRequest, destination: str) -> HttpResponse:
    """List the suppressions; say whether a typed id is suppressed, and lift what was found once that is confirmed."""
    row = destination_for(request.actor, destination)
    if request.method != "POST":
        return _page(request, row, LookUpForm(destination=row))
    form = LookUpForm(request.POST, destination=row)
    if not form.is_valid():
        return _page(request, row, form)
    asked = {**form.cleaned_data, "by": request.actor, "now": timezone.now()}
    try:
        found = lifts.look_up(row, **asked)
        # What is lifted is what was shown: another id typed meanwhile is looked up first.
        confirmed = bool(found) and request.POST.get("lift") == _name(found)
        if confirmed:
            lifts.lift(row, **asked)
    except SuppressionKeyMissing as refusal:
        form.add_error(None, str(refusal))
        return _page(request, row, form)
    if confirmed:
        messages.success(
            request, "The suppression is lifted. The profile returns with the next sync, if it is in the view."
        )
        return see_other("activation:suppressions", request.organisation.slug, row.public_id)
    return _page(request, row, form, found=found)


@require_http_methods(_ANY)
@project_page()
def policy(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show and change whether profiles that are deleted through the API stay deleted."""
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_ACTIVATION)
    activation = Activation.objects.filter(project=project).select_related("project", "destination").first()
    if activation is None:
        return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
    initial = {"policy": activation.deleted_profiles}
    form = PolicyForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        chosen = DeletedProfilesPolicy(form.cleaned_data["policy"])
        deleted_profiles.configure(activation, policy=chosen, by=request.actor, now=timezone.now())
        messages.success(request, "Changed. It holds for profiles that are deleted from now on.")
        return see_other("activation:deleted_profiles", organisation=request.organisation.slug, project=project.slug)
    context = {
        "project": project,
        "activation": activation,
        "form": form,
        "held_by": deleted_profiles.held_by(activation),
        "may_change": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    return render(request, "activation/deleted_profiles.html", context, status=422 if form.errors else 200)


def _page(
    request: SignedInRequest, row: RedisDestination, form: LookUpForm, *, found: list[Suppression] | None = None
) -> HttpResponse:
    rows = row.suppressions.order_by("-sequence")
    standing = rows.filter(lifted_at=None)
    context = {
        "destination": row,
        "form": form,
        "looked_up": found is not None,
        "found": found,
        "found_name": _name(found or []),
        "page": Paginator(rows, _PER_PAGE).get_page(request.GET.get("page")),
        "standing": standing.count(),
        "waiting": standing.filter(deleted_at=None).count(),
    }
    return render(request, "activation/suppressions.html", context, status=422 if form.errors else 200)


def _name(found: list[Suppression]) -> str:
    """Name what was found, so that a confirmation is of just that."""
    return ",".join(str(suppression.sequence) for suppression in found)
