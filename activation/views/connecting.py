"""Turning the sync on: choose or connect a Redis, watch the test of its connection, confirm."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import enabling, probes
from activation.access import probe_for
from activation.forms import ConnectForm, ExistingForm
from activation.models import Activation, DestinationProbe, RedisDestination
from activation.preconditions import preconditions
from activation.views import earlier_tries, probing, waking
from projects.models import Project
from projects.pages import project_page


@require_http_methods(["GET", "HEAD", "POST"])
@project_page(permission=Permission.MANAGE_ACTIVATION)
def enable(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask which Redis to sync to: one of ours, or a new one whose connection is tested first."""
    if not all(point.met for point in preconditions(project)):
        return _to_switch(request, project)
    if request.method != "POST":
        return _ask(request, project)
    if request.POST.get("use") == "existing":
        return _use_existing(request, project)
    return _connect(request, project)


@require_safe
@project_page(permission=Permission.MANAGE_ACTIVATION)
def watch(request: SignedInRequest, project: Project, probe: str) -> HttpResponse:
    """Show how far the connection test is; when it failed, the form again with everything but the secrets."""
    found = probe_for(request.actor, probe)
    if found.project_id != project.pk:
        raise Http404
    return probing.watched(
        request,
        found,
        passed=(
            "Redis is connected and the sync is on. The first sync has started.",
            _to_switch(request, project),
        ),
        again=lambda: _ask(request, project, connect=_again(request, project, found), probe=found),
        page="activation/probe.html",
        context={"project": project},
    )


def _use_existing(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ExistingForm(request.POST, project=project)
    if not form.is_valid():
        return _ask(request, project, existing=form)
    destination: RedisDestination = form.cleaned_data["destination"]
    try:
        enabling.enable(project, destination, by=request.actor, now=timezone.now())
    except (enabling.NotReady, enabling.FieldTaken, enabling.DestinationFixed) as refusal:
        form.add_error(None, str(refusal))
        return _ask(request, project, existing=form)
    waking.for_syncs()
    messages.success(request, "The sync to Redis is on. The first sync has started.")
    return _to_switch(request, project)


def _connect(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ConnectForm(request.POST, project=project, **earlier_tries.kept(earlier_tries.of(request)))
    if not form.is_valid():
        return _ask(request, project, connect=form)
    aim, name = probes.Aim(project=project), form.cleaned_data["name"]
    probe = probing.ask(request, form, aim=aim, name=name, adopted=form.adopted())
    if probe is None:
        return _ask(request, project, connect=form)
    where = {"organisation": request.organisation.slug, "project": project.slug, "probe": probe.public_id}
    return see_other("activation:probe", **where)


def _again(request: SignedInRequest, project: Project, probe: DestinationProbe) -> ConnectForm:
    """Return the form as it was filled in for a failed probe."""
    initial = {**probe.settings, **probe.adopted, "name": probe.name, "earlier": probe.public_id}
    return ConnectForm(initial=initial, project=project, **earlier_tries.kept(earlier_tries.own(request, probe)))


def _ask(
    request: SignedInRequest,
    project: Project,
    *,
    existing: ExistingForm | None = None,
    connect: ConnectForm | None = None,
    probe: DestinationProbe | None = None,
) -> HttpResponse:
    """Show both ways, the one that is being filled in chosen; a project that has a destination keeps it."""
    activation = Activation.objects.filter(project=project).select_related("destination").first()
    destinations = RedisDestination.objects.filter(organisation=request.organisation)
    context = {
        "project": project,
        "fixed": activation.destination if activation and activation.sources.exists() else None,
        "has_destinations": destinations.exists(),
        "existing": existing or ExistingForm(project=project),
        "connect": connect or ConnectForm(project=project),
        "use": "existing" if existing or (connect is None and destinations.exists()) else "new",
        "probe": probe,
    }
    refused = (existing and existing.errors) or (connect and connect.is_bound)
    return render(request, "activation/enable.html", context, status=422 if refused else 200)


def _to_switch(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
