"""*Profile Lookup* of a project's entity, and deleting what was looked up.

An id comes in the body of a POST and goes back to the same person only: it is in no address, no log, no session and no
audit row, and the pages are not stored.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import members
from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import profile_lookups, profile_pages, suppressions
from activation.erasures import DeletePending
from activation.handle import DestinationUnavailable
from activation.handles import InvalidDestination, ServiceUnavailable
from activation.models import Activation, RedisDestination
from activation.profile_forms import DeleteForm, LookUpForm
from activation.profile_lookups import Question, TooManyLookUps
from activation.views import waking
from projects import main_views
from projects.models import Project
from projects.pages import project_page
from projects.specification import from_plain

_NO_ANSWER = (DestinationUnavailable, InvalidDestination, ServiceUnavailable)


@dataclass(frozen=True)
class _Place:
    """A project's entity: what it declares, and where its profiles are, if its sync was ever turned on."""

    project: Project
    entity: str
    declared: tuple[str, ...]
    activation: Activation | None
    served: list[str]

    @property
    def destination(self) -> RedisDestination | None:
        return self.activation.destination if self.activation else None

    @property
    def form_options(self) -> dict[str, Any]:
        return {"served": self.served, "declared": self.declared}


@sensitive_post_parameters("value")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def look_up(request: SignedInRequest, project: Project, entity: str) -> HttpResponse:
    """Ask for an id and show the profile in the answer to the POST; others are told who may see it."""
    place = _place(project, entity)
    if not request.actor.may(Permission.SEE_PERSONAL_DATA):
        people = members.who_may(Permission.SEE_PERSONAL_DATA, by=request.actor)
        context = {"project": project, "entity": entity, "people": people}
        return render(request, "activation/profile_lookup_refused.html", context, status=403)
    if request.method != "POST" or place.activation is None or not place.served:
        return _page(request, place, LookUpForm(**place.form_options))
    form = LookUpForm(request.POST, **place.form_options)
    if not form.is_valid():
        return _page(request, place, form, status=422)
    asked, now = form.cleaned_data, timezone.now()
    question = Question(entity, asked["value"], asked["id_type"])
    try:
        found = profile_lookups.look_up(place.activation, question, by=request.actor, now=now)
    except TooManyLookUps as refusal:
        form.add_error(None, str(refusal))
        return _page(request, place, form, status=429)
    except _NO_ANSWER as error:
        return _page(request, place, form, problem=str(error), status=503)
    shown = profile_pages.shown(
        place.activation.destination, entity, found, trait_filter=asked["filter"].strip(), now=now
    )
    return _page(request, place, form, shown=shown, asked=question)


@sensitive_post_parameters("value")
@never_cache
@require_POST
@project_page(permission=Permission.CALL_ACTIVATION_API)
def delete(request: SignedInRequest, project: Project, entity: str) -> HttpResponse:
    """Ask whether the profile is to be deleted, and delete it as the API does."""
    place = _place(project, entity)
    form = DeleteForm(request.POST, **place.form_options)
    if place.activation is None or not form.is_valid():
        return _to_look_up(request, place)
    destination = place.activation.destination
    asked = Question(entity, form.cleaned_data["value"], form.cleaned_data["id_type"])
    if form.cleaned_data["confirmed"]:
        _delete(request, place.activation, asked, cascade=form.cleaned_data["cascade"])
        return _to_look_up(request, place)
    context = {
        "project": project,
        "entity": entity,
        "destination": destination,
        "form": form,
        "asked": asked,
        "stays_deleted": suppressions.stand(destination.pk),
    }
    return render(request, "activation/profile_delete.html", context)


def _delete(request: SignedInRequest, activation: Activation, asked: Question, *, cascade: bool) -> None:
    """Delete it and say what became of that."""
    try:
        deleted = profile_lookups.delete(activation, asked, cascade=cascade, by=request.actor, now=timezone.now())
    except DeletePending as pending:
        messages.warning(request, str(pending))
        return
    except _NO_ANSWER as error:
        messages.error(request, f"{error} Nothing was deleted.")
        return
    words = "The profile is deleted." if deleted.deleted else "There was no profile any more; the delete is noted."
    if deleted.cascading is not None:
        waking.for_deletion(deleted.cascading)
        words = f"{words} A worker looks for the same person's other ids; the receipt is {deleted.cascading.public_id}."
    messages.success(request, words)


def _place(project: Project, entity: str) -> _Place:
    """Find an entity that the project declares, or whose profiles its sources still hold. Raises `Http404`."""
    activation = Activation.objects.filter(project=project).select_related("destination", "project").first()
    served = profile_lookups.id_types(activation, entity) if activation else []
    declared = [
        main_views.id_types(each, project.main_views)
        for each in from_plain(project.specification).entities
        if each.name == entity
    ]
    if not declared and not served:
        raise Http404
    return _Place(project, entity, declared[0] if declared else (), activation, served)


def _page(
    request: SignedInRequest,
    place: _Place,
    form: LookUpForm,
    *,
    shown: profile_pages.Shown | None = None,
    asked: Question | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "project": place.project,
        "entity": place.entity,
        "activation": place.activation,
        "destination": place.destination,
        "served": place.served,
        "form": form,
        "shown": shown,
        "asked": asked,
        "problem": problem,
        "may_delete": request.actor.may(Permission.CALL_ACTIVATION_API),
        "most": profile_lookups.MOST_IN_FIVE_MINUTES,
    }
    return render(request, "activation/profile_lookup.html", context, status=status)


def _to_look_up(request: SignedInRequest, place: _Place) -> HttpResponseRedirect:
    return see_other(
        "activation:profile_lookup",
        organisation=request.organisation.slug,
        project=place.project.slug,
        entity=place.entity,
    )
