"""Checks on pages: asking for one, and watching it go."""

from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from projects import access, checks, tasks
from projects.models import Project
from projects.pages import project_page


@require_POST
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def check_warehouse(request: SignedInRequest, warehouse: str) -> HttpResponseBase:
    """Ask for a check of a warehouse."""
    found = access.warehouse_for(request.actor, warehouse)
    tasks.wake(checks.request_check(found, by=request.actor, now=timezone.now()))
    return see_other("projects:warehouse", organisation=request.organisation.slug, warehouse=found.public_id)


@require_POST
@project_page(permission=Permission.EDIT_PROJECTS)
def check_project(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Ask for a check of a project's warehouse and views."""
    tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=timezone.now()))
    return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)


@require_safe
@organisation_page()
def state(request: SignedInRequest, check: str) -> HttpResponseBase:
    """Show how far a check is; a page that watches one is loaded anew when it has ended."""
    found = access.check_for(request.actor, check)
    if request.htmx and found.state not in checks.ACTIVE:
        return HttpResponseClientRefresh()
    return render(request, "projects/check.html" if not request.htmx else "projects/_check.html", {"check": found})
