"""A project's page *Activation API*: the switch, what must be there first, and where its syncs stand."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import SignedInRequest, organisation_page
from accounts.roles import Permission
from accounts.templatetags.components import Sample
from activation import standings, syncs
from activation.forms import PlaceForm
from activation.models import Activation, Source, SyncRun
from activation.preconditions import Point, grants_sql, preconditions
from activation.views import waking
from projects import checks
from projects.access import project_for
from projects.models import Project
from projects.placements import ChoiceUnknown, ProjectChanged, choose
from projects.projects import served_views


@require_GET
@organisation_page()
def show(request: SignedInRequest, project: str) -> HttpResponse:
    """Show the switch; polled by htmx, only its state."""
    row = project_for(request.actor, project)
    activation = Activation.objects.filter(project=row).select_related("destination").first()
    context: dict[str, Any] = {
        "project": row,
        "activation": activation,
        "may_enable": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    if activation is not None:
        context |= _synced(row, activation)
    if activation is None or not activation.enabled:
        context |= _wanting(row)
    page = "activation/_switch_state.html" if request.htmx else "activation/switch.html"
    response = render(request, page, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@require_POST
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def check(request: SignedInRequest, project: str) -> HttpResponse:
    """Ask for a check of the warehouse for this project."""
    row = project_for(request.actor, project)
    asked = checks.request_check(row.warehouse, project=row, by=request.actor, now=timezone.now())
    waking.for_check(asked)
    return redirect("activation:settings", request.organisation.slug, row.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def places(request: SignedInRequest, project: str) -> HttpResponse:
    """Ask where the views are that the catalogue does not tell by name."""
    row = project_for(request.actor, project)
    data = request.POST if request.method == "POST" else None
    forms = [PlaceForm(data, project=row, view=view) for view in served_views(row)]
    if data is not None and all(form.is_valid() for form in forms):
        problem = _choose(request, row, forms)
        if problem is None:
            return redirect("activation:settings", request.organisation.slug, row.slug)
        messages.error(request, problem)
    return render(request, "activation/places.html", {"project": row, "forms": forms})


@require_POST
@organisation_page(permission=Permission.RUN_SYNCS)
def sync(request: SignedInRequest, project: str) -> HttpResponse:
    """Start a sync of every source that has none running, or of the one that is named."""
    row = project_for(request.actor, project)
    sources = Source.objects.filter(activation__project=row, status=Source.Status.ACTIVE).select_related("activation")
    if request.POST.get("source"):
        sources = sources.filter(public_id=request.POST["source"])
    try:
        started = syncs.start_all(list(sources), trigger=SyncRun.Trigger.PERSON, by=request.actor, now=timezone.now())
    except syncs.SourceRetired as refusal:
        messages.error(request, str(refusal))
    else:
        waking.for_syncs()
        if not started:
            messages.info(request, "A sync is running already. It ends by itself; then you can start another.")
    return redirect("activation:settings", request.organisation.slug, row.slug)


def _wanting(project: Project) -> dict[str, object]:
    points = preconditions(project)
    return {
        "points": points,
        "ready": all(point.met for point in points),
        "pending": any(point.pending for point in points),
        "Point": Point,
        "grants_sql": grants_sql(project),
    }


def _synced(project: Project, activation: Activation) -> dict[str, object]:
    now = timezone.now()
    rows = standings.of_sources(Source.objects.filter(activation=activation), now=now)
    present = {(row.source.entity, row.source.id_type, row.source.feature_view) for row in rows}
    missing = [view for view in served_views(project) if (view.entity, view.id_type, view.feature_view) not in present]
    first = next((row.source for row in rows if row.source.status == Source.Status.ACTIVE), None)
    return {
        "standings": rows,
        "summary": standings.summary(activation, rows),
        "missing": missing,
        "samples": samples_for(first) if first else [],
    }


def samples_for(source: Source) -> list[Sample]:
    """Return a request for a profile of the source in several languages; token and id are left to the reader."""
    url = f"{settings.PUBLIC_URL}/v2/activation"
    body = (
        f'{{"entity": "{source.entity}", "destinationId": "{source.destination.public_id}", '
        f'"id": {{"type": "{source.id_type}", "value": "<{source.id_type}>"}}}}'
    )
    curl = (
        f"curl -X POST {url} \\\n  -H 'Authorization: Bearer <token>' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
    python = (
        "import json, urllib.request\n\n"
        f"request = urllib.request.Request(\n    {url!r},\n    data=json.dumps({body}).encode(),\n"
        '    headers={"Authorization": "Bearer <token>", "Content-Type": "application/json"},\n)\n'
        'profile = json.load(urllib.request.urlopen(request))["data"]'
    )
    javascript = (
        f'const answer = await fetch("{url}", {{\n  method: "POST",\n'
        '  headers: {Authorization: "Bearer <token>", "Content-Type": "application/json"},\n'
        f"  body: JSON.stringify({body}),\n}});\nconst profile = (await answer.json()).data;"
    )
    return [
        Sample("curl", "bash", curl),
        Sample("Python", "python", python),
        Sample("JavaScript", "javascript", javascript),
    ]


def _choose(request: SignedInRequest, project: Project, forms: list[PlaceForm]) -> str | None:
    """Store what was chosen; return what stood in the way."""
    try:
        for form in (form for form in forms if form.has_changed()):
            choose(
                project,
                form.view.feature_view,
                relation=form.cleaned_data["relation"],
                id_column=form.cleaned_data.get("id_column", ""),
                by=request.actor,
                now=timezone.now(),
            )
    except (ChoiceUnknown, ProjectChanged) as problem:
        return str(problem)
    asked = checks.request_check(project.warehouse, project=project, by=request.actor, now=timezone.now())
    waking.for_check(asked)
    return None
