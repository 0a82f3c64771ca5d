"""The History tab: Profiles runs, starting one, and reporting one that has finished."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from projects import runner, runs, tasks
from projects.models import Project, RunStatus
from projects.pages import project_page


@require_safe
@project_page()
def history(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """List the project's runs, newest first."""
    context = {"project": project, "runs": runs.newest_first(project), "has_runner": runner.configured()}
    return render(request, "projects/history.html", context)


@require_POST
@project_page(permission=Permission.REPORT_RUNS)
def run(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Start a run by the operator's command."""
    try:
        tasks.wake_runner(runner.start(project, by=request.actor, now=timezone.now()))
    except (runner.NoRunner, runner.RunActive) as refusal:
        messages.error(request, str(refusal))
    return see_other("projects:history", organisation=request.organisation.slug, project=project.slug)


@require_POST
@project_page(permission=Permission.REPORT_RUNS)
def report(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Record that a run has just finished."""
    runs.report(
        project, status=RunStatus.FINISHED, reference="", finished_at=None, by=request.actor, now=timezone.now()
    )
    messages.success(request, "The run is recorded. If the sync to Redis is on, it starts within seconds.")
    return see_other("projects:history", organisation=request.organisation.slug, project=project.slug)
