"""A project's page *Sync log*: what is logged in its warehouse, where, and for how long."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import sync_log
from activation.models import Activation, Installation, SyncLogContent
from activation.sync_log_form import SyncLogForm
from projects.models import Project
from projects.pages import project_page


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def show(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show and change what is logged."""
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_ACTIVATION)
    activation = Activation.objects.filter(project=project).select_related("project").first()
    if activation is None:
        return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
    initial = {"content": activation.sync_log, "days": activation.sync_log_days}
    form = SyncLogForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        content = SyncLogContent(form.cleaned_data["content"])
        sync_log.configure(
            activation, content=content, days=form.cleaned_data["days"], by=request.actor, now=timezone.now()
        )
        messages.success(request, "The sync log is changed. It holds for syncs that end from now on.")
        return see_other("activation:sync_log", organisation=request.organisation.slug, project=project.slug)
    context = {
        "project": project,
        "activation": activation,
        "form": form,
        "place": sync_log.place(Installation.own_code(), project.warehouse.kind),
        "may_change": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    return render(request, "activation/sync_log.html", context, status=422 if form.errors else 200)
