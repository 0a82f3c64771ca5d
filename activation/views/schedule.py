"""A project's page *Schedule*: when its sources are synced, and the next times."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import schedules, timetables
from activation.models import Activation
from activation.schedule_forms import ScheduleForm
from projects.models import Project
from projects.pages import project_page


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def schedule(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show and change when a project is synced."""
    if request.method == "POST":
        request.actor.require(Permission.EDIT_PROJECTS)
    activation = Activation.objects.filter(project=project).first()
    if activation is None:
        return render(request, "activation/schedule.html", {"project": project})
    now = timezone.now()
    present = schedules.of(activation)
    form = ScheduleForm(request.POST if request.method == "POST" else None, present=present, now=now)
    if form.is_valid():
        schedules.change(activation, form.timetable(), by=request.actor, now=now)
        messages.success(request, f"{project.name} is synced {form.timetable().words}.")
        return see_other("activation:schedule", organisation=request.organisation.slug, project=project.slug)
    context = {
        "project": project,
        "activation": activation,
        "form": form,
        "present": present,
        "coming": timetables.coming(present, after=now) if activation.enabled else [],
        "may_edit": request.actor.may(Permission.EDIT_PROJECTS),
    }
    return render(request, "activation/schedule.html", context, status=422 if form.errors else 200)
