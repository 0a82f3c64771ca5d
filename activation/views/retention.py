"""A project's page *Snapshots*: how many of them stay in its warehouse."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import retention
from activation.models import Activation, Installation
from activation.retention_form import RetentionForm
from projects.models import Project, WarehouseKind
from projects.pages import project_page


@require_http_methods(["GET", "HEAD", "POST"])
@project_page()
def show(request: SignedInRequest, project: Project) -> HttpResponse:
    """Show and change how many snapshots are kept."""
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_ACTIVATION)
    activation = Activation.objects.filter(project=project).select_related("project").first()
    if activation is None:
        return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
    form = RetentionForm(
        request.POST if request.method == "POST" else None, initial={"keep": activation.keep_snapshots}
    )
    if form.is_valid():
        retention.configure(activation, keep=form.cleaned_data["keep"], by=request.actor, now=timezone.now())
        messages.success(request, "Changed. Snapshots beyond this number go with the next sync.")
        return see_other("activation:snapshots", organisation=request.organisation.slug, project=project.slug)
    names = f"activation_{Installation.own_code()}_s…"
    context = {
        "project": project,
        "activation": activation,
        "form": form,
        "names": names if project.warehouse.kind == WarehouseKind.DUCKDB else f"_rudderstack.{names}",
        "may_change": request.actor.may(Permission.MANAGE_ACTIVATION),
    }
    return render(request, "activation/snapshots.html", context, status=422 if form.errors else 200)
