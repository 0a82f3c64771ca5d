"""*Sync Now*, *Reset History and Full Sync* and *Stop Now*: of one source or of all of a project."""

from collections.abc import Sequence

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import syncs
from activation.access import run_for, source_for
from activation.models import ACTIVE_STATES, Source, SyncRun
from activation.views import waking
from projects.models import Project
from projects.pages import project_page

_ASKED = ["GET", "HEAD", "POST"]


@require_POST
@organisation_page(permission=Permission.RUN_SYNCS)
def sync_source(request: SignedInRequest, source: str) -> HttpResponse:
    """Sync a source now, or again after the active sync."""
    row = source_for(request.actor, source)
    started = _ask_for(request, [row])
    return _to_run(request, started[0]) if started else _to_source(request, row)


@require_http_methods(_ASKED)
@organisation_page(permission=Permission.RUN_SYNCS)
def full_sync_of_source(request: SignedInRequest, source: str) -> HttpResponse:
    """Ask whether every row of a source is to be written anew, and do it."""
    row = source_for(request.actor, source)
    if request.method == "POST":
        started = _ask_for(request, [row], full=True)
        return _to_run(request, started[0]) if started else _to_source(request, row)
    context = {"project": row.activation.project, "source": row, "active": syncs.active_run(row)}
    return render(request, "activation/full_sync.html", context)


@require_http_methods(_ASKED)
@organisation_page(permission=Permission.RUN_SYNCS)
def stop_run(request: SignedInRequest, run: str) -> HttpResponse:
    """Ask whether a run is to be stopped, and stop it; one that has ended meanwhile is shown as it is."""
    row = run_for(request.actor, run)
    if request.method == "POST" and syncs.stop(row, by=request.actor, now=timezone.now()):
        waking.for_syncs()
        messages.success(request, "The sync is stopped.")
        return _to_run(request, row)
    if row.state not in ACTIVE_STATES or request.method == "POST":
        messages.info(request, "The sync has ended already.")
        return _to_run(request, row)
    return render(request, "activation/stop.html", {"project": row.source.activation.project, "runs": [row]})


@require_POST
@project_page(permission=Permission.RUN_SYNCS)
def sync_project(request: SignedInRequest, project: Project) -> HttpResponse:
    """Sync every source of a project now, or again after its active sync."""
    _ask_for(request, _sources(project))
    return _to_project(request, project)


@require_http_methods(_ASKED)
@project_page(permission=Permission.RUN_SYNCS)
def full_sync_of_project(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask whether every row of a project is to be written anew, and do it."""
    if request.method == "POST":
        _ask_for(request, _sources(project), full=True)
        return _to_project(request, project)
    context = {"project": project, "active": _active_runs(project).first()}
    return render(request, "activation/full_sync.html", context)


@require_http_methods(_ASKED)
@project_page(permission=Permission.RUN_SYNCS)
def stop_project(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask whether the active syncs of a project are to be stopped, and stop them."""
    runs = list(_active_runs(project))
    if runs and request.method != "POST":
        return render(request, "activation/stop.html", {"project": project, "runs": runs})
    stopped = [run for run in runs if syncs.stop(run, by=request.actor, now=timezone.now())]
    if stopped:
        waking.for_syncs()
        messages.success(request, "The sync is stopped." if len(stopped) == 1 else f"{len(stopped)} syncs are stopped.")
    else:
        messages.info(request, "No sync is active.")
    return _to_project(request, project)


def _ask_for(request: SignedInRequest, sources: Sequence[Source], *, full: bool = False) -> list[SyncRun]:
    """Start a sync of each source or have it follow the active one, and say what could not be started at once."""
    try:
        started = syncs.request_all(
            sources, trigger=SyncRun.Trigger.PERSON, by=request.actor, now=timezone.now(), full=full
        )
    except syncs.SourceRetired as refusal:
        messages.error(request, str(refusal))
        return []
    waking.for_syncs()
    if waiting := len(sources) - len(started):
        kind = "a full one" if full else "another one"
        of_them = (
            "A sync is active" if len(sources) == 1 else f"{waiting} of {len(sources)} sources have an active sync"
        )
        messages.info(request, f"{of_them}; {kind} follows it.")
    return started


def _sources(project: Project) -> list[Source]:
    sources = Source.objects.filter(activation__project=project, status=Source.Status.ACTIVE)
    return list(sources.select_related("activation__project").order_by("pk"))


def _active_runs(project: Project) -> QuerySet[SyncRun]:
    """Return the active runs of the sources that are served: a move's are stopped by cancelling the move."""
    runs = SyncRun.objects.filter(
        source__activation__project=project, source__other_place_of=None, state__in=ACTIVE_STATES
    )
    return runs.select_related("source").order_by("source_id")


def _to_run(request: SignedInRequest, run: SyncRun) -> HttpResponseRedirect:
    return see_other("activation:run", organisation=request.organisation.slug, run=run.public_id)


def _to_source(request: SignedInRequest, source: Source) -> HttpResponseRedirect:
    return see_other("activation:source", organisation=request.organisation.slug, source=source.public_id)


def _to_project(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
