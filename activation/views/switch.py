"""A project's page *Activation API*: the switch, what must be there first, and where its syncs stand."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SignedInRequest, see_other
from accounts.actors import Actor
from accounts.roles import Permission
from activation import moves, samples, schedules, standings, trial_calls
from activation.models import Activation, Source
from activation.preconditions import Point, grants_sql, preconditions
from projects import checks
from projects import tasks as project_tasks
from projects.models import Project
from projects.pages import project_page
from projects.projects import served_views


@require_safe
@project_page()
def show(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show the switch; polled by htmx, only its state."""
    activation = Activation.objects.filter(project=project).select_related("destination").first()
    context: dict[str, Any] = {"project": project, "activation": activation, **_allowed(request.actor)}
    if activation is not None:
        context |= _synced(project, activation, request.actor)
        context["move"] = moves.open_move(activation.destination)
    if activation is None or not activation.enabled:
        context |= _wanting(project)
    page = "activation/_switch_state.html" if request.htmx else "activation/switch.html"
    response = render(request, page, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@require_POST
@project_page(permission=Permission.MANAGE_CREDENTIALS)
def check(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask for a check of the warehouse for this project."""
    asked = checks.request_check(project.warehouse, project=project, by=request.actor, now=timezone.now())
    project_tasks.wake(asked)
    return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)


def _allowed(actor: Actor) -> dict[str, bool]:
    """Say which of the page's buttons the person gets."""
    return {
        "may_enable": actor.may(Permission.MANAGE_ACTIVATION),
        "may_check": actor.may(Permission.MANAGE_CREDENTIALS),
        "may_edit": actor.may(Permission.EDIT_PROJECTS),
        "may_sync": actor.may(Permission.RUN_SYNCS),
    }


def _wanting(project: Project) -> dict[str, object]:
    points = preconditions(project)
    return {
        "points": points,
        "ready": all(point.met for point in points),
        "pending": any(point.pending for point in points),
        "Point": Point,
        "grants_sql": grants_sql(project),
    }


def _synced(project: Project, activation: Activation, actor: Actor) -> dict[str, object]:
    now = timezone.now()
    rows = standings.of_sources(Source.objects.filter(activation=activation), now=now)
    present = {(project.source.entity, project.source.id_type, project.source.feature_view) for project in rows}
    missing = [view for view in served_views(project) if (view.entity, view.id_type, view.feature_view) not in present]
    served = [row.source for row in rows if row.source.active]
    most = max(served, key=lambda source: source.base_rows, default=None)
    sample = Source.objects.select_related("destination").filter(pk=most.pk).first() if most else None
    return {
        "standings": rows,
        "summary": standings.summary(activation, rows),
        "missing": missing,
        "schedule": schedules.of(activation).words,
        "sample": sample,
        "may_try": trial_calls.may(actor),
        "samples": samples.of_source(sample) if sample else [],
    }
