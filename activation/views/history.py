"""The History tab: Profiles runs and syncs on one time line; starting a Profiles run, and reporting a finished one."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import history, schedules
from activation.history import Cursor, Search
from activation.history_form import HistoryForm
from activation.models import Activation
from activation.timetables import AfterProfilesRuns
from projects import runner, runs, tasks
from projects.models import Project, RunStatus
from projects.pages import project_page

_PLACES = ("before", "after")


@require_safe
@project_page()
def show(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Show a stretch of the project's time line; polled by htmx while something on it is under way, only that."""
    form = HistoryForm(request.GET, project=project, sources=history.sources_of(project))
    search = form.search if form.is_valid() else Search()
    before, after = (Cursor.read(request.GET.get(name, "")) for name in _PLACES)
    page = history.page(project, search, now=timezone.now(), before=before, after=after)
    kept = request.GET.copy()
    for name in _PLACES:
        kept.pop(name, None)
    context = {
        "project": project,
        "form": form,
        "searched": search != Search(),
        "search": search,
        "page": page,
        "kept": kept.urlencode(),
        "has_runner": runner.configured(),
    }
    template = "activation/_history.html" if request.htmx else "activation/history.html"
    response = render(request, template, context)
    patch_vary_headers(response, ("HX-Request",))
    return response


@require_POST
@project_page(permission=Permission.REPORT_RUNS)
def start(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Start a Profiles run by the operator's command."""
    try:
        tasks.wake_runner(runner.start(project, by=request.actor, now=timezone.now()))
    except (runner.NoRunner, runner.RunActive) as refusal:
        messages.error(request, str(refusal))
    return see_other("activation:history", organisation=request.organisation.slug, project=project.slug)


@require_POST
@project_page(permission=Permission.REPORT_RUNS)
def report(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Record that a Profiles run has just finished."""
    runs.report(
        project, status=RunStatus.FINISHED, reference="", finished_at=None, by=request.actor, now=timezone.now()
    )
    messages.success(request, f"The run is recorded. {_what_follows(project)}")
    return see_other("activation:history", organisation=request.organisation.slug, project=project.slug)


def _what_follows(project: Project) -> str:
    activation = Activation.objects.filter(project=project, enabled=True).first()
    if activation is None:
        return "No sync follows it: the sync to Redis is off."
    timetable = schedules.of(activation)
    if timetable != AfterProfilesRuns():
        return f"No sync follows it: the project is synced {timetable.words}."
    return "The sync starts within seconds."
