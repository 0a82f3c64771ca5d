"""The guard on pages: what to do about a sync that it stopped, and how much may be deleted without asking."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import guard, syncs
from activation.access import run_for
from activation.guard import NothingToConfirm
from activation.guard_forms import ChoiceForm, LimitsForm
from activation.models import Activation, GuardChoice
from activation.views import waking
from projects.models import Project
from projects.pages import project_page

_ANY = ["GET", "HEAD", "POST"]


@require_http_methods(_ANY)
@organisation_page(permission=Permission.MANAGE_ACTIVATION)
def confirm(request: SignedInRequest, run: str) -> HttpResponse:
    """Ask what to do about a run that the guard stopped, and start the run that does it."""
    row = run_for(request.actor, run)
    if not guard.is_waiting(row, row.source):
        messages.info(request, str(NothingToConfirm()))
        return see_other("activation:run", organisation=request.organisation.slug, run=row.public_id)
    form = ChoiceForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            choice = GuardChoice(form.cleaned_data["choice"])
            row = guard.confirm(row, choice=choice, by=request.actor, now=timezone.now())
        except (NothingToConfirm, syncs.AlreadyRunning, syncs.SourceRetired) as refusal:
            messages.error(request, str(refusal))
        else:
            waking.for_syncs()
        return see_other("activation:run", organisation=request.organisation.slug, run=row.public_id)
    status = 422 if form.errors else 200
    return render(request, "activation/guard_confirm.html", {"run": row, "form": form}, status=status)


@require_http_methods(_ANY)
@project_page()
def limits(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show and change how much a sync may delete without asking."""
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_ACTIVATION)
    activation = Activation.objects.filter(project=project).select_related("project").first()
    if activation is None:
        return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
    initial = {"percent": activation.guard_percent, "rows": activation.guard_rows}
    form = LimitsForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        guard.configure(activation, **form.cleaned_data, by=request.actor, now=timezone.now())
        messages.success(request, "The guard is changed. It holds for syncs that start from now on.")
        return see_other("activation:guard", organisation=request.organisation.slug, project=project.slug)
    context = {
        "project": project,
        "activation": activation,
        "form": form,
        "may_change": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    return render(request, "activation/guard.html", context, status=422 if form.errors else 200)
