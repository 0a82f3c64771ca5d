"""Turning the sync on: choose or connect a Redis, watch the test of its connection, confirm."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import enabling, probes
from activation.access import probe_for
from activation.forms import ConnectForm, ExistingForm
from activation.models import Activation, DestinationProbe, RedisDestination
from activation.preconditions import preconditions
from activation.views import earlier_tries, waking
from projects.models import Project
from projects.pages import project_page

_ENDED = (DestinationProbe.State.PASSED, DestinationProbe.State.FAILED)


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
    if found.state == DestinationProbe.State.PASSED:
        return _arrived(request, project)
    if request.htmx and found.state in _ENDED:
        return HttpResponseClientRedirect(request.path)
    if found.state == DestinationProbe.State.FAILED:
        return _ask(request, project, connect=_again(project, found), probe=found)
    page = "activation/_probe.html" if request.htmx else "activation/probe.html"
    response = render(request, page, {"project": project, "probe": found})
    patch_vary_headers(response, ("HX-Request",))
    return response


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
    settings, credentials = form.plain()
    try:
        probe = probes.request(
            aim=probes.Aim(project=project),
            name=form.cleaned_data["name"],
            settings=settings,
            credentials=credentials,
            adopted=form.adopted(),
            by=request.actor,
            now=timezone.now(),
        )
    except probes.TooManyProbes as refusal:
        form.add_error(None, str(refusal))
        return _ask(request, project, connect=form)
    waking.for_probe(probe)
    where = {"organisation": request.organisation.slug, "project": project.slug, "probe": probe.public_id}
    return see_other("activation:probe", **where)


def _again(project: Project, probe: DestinationProbe) -> ConnectForm:
    """Return the form as it was filled in for a failed probe."""
    initial = {**probe.settings, **probe.adopted, "name": probe.name, "earlier": probe.public_id}
    return ConnectForm(initial=initial, project=project, **earlier_tries.kept(probe))


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


def _arrived(request: SignedInRequest, project: Project) -> HttpResponse:
    messages.success(request, "Redis is connected and the sync is on. The first sync has started.")
    target = _to_switch(request, project)
    return HttpResponseClientRedirect(target.url) if request.htmx else target


def _to_switch(request: SignedInRequest, project: Project) -> HttpResponseRedirect:
    return see_other("activation:settings", organisation=request.organisation.slug, project=project.slug)
