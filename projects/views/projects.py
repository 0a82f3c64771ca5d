"""Projects: the list, creating one, and the Entities tab with the places of its views."""

from collections.abc import Callable, Mapping, Sequence

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import lists
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from projects import access, checks, connections, counts, entity_pages, placements, projects, tasks
from projects.access import ListedProject
from projects.forms import NewProjectForm, PlacementForm
from projects.models import Project
from projects.next_steps import next_step
from projects.pages import project_page
from projects.placements import ChoiceUnknown, ProjectChanged
from projects.problems import SpecificationProblems
from projects.projects import EntityUnknown, MainViewRefused, NameTaken
from projects.specification import from_plain, missing_feature_views

_PER_PAGE = 50
_SERVED_TOO = "The main feature view is served too, as soon as it is found."
_NOT_SERVED_ANY_MORE = "The main feature view is not synced any more. What is in Redis stays there."
_SORTS: Mapping[str, Callable[[ListedProject], object]] = {
    "name": lambda row: row.name.lower(),
    "warehouse": lambda row: row.warehouse_name.lower(),
    "schema": lambda row: row.output_schema.lower(),
    "created": lambda row: row.created_at,
}


def _found(rows: Sequence[ListedProject], *, query: str, sort: str) -> list[ListedProject]:
    return lists.found(rows, query=query, sort=sort, text=_text, sorts=_SORTS)


def _text(project: ListedProject) -> str:
    return f"{project.name} {project.slug} {project.warehouse_name} {project.output_schema}".lower()


@require_safe
@organisation_page()
def project_list(request: SignedInRequest) -> HttpResponseBase:
    """List the organisation's projects; searched and sorted by URL."""
    every = access.listed(request.actor)
    context = {
        "has_projects": bool(every),
        "listing": lists.of(request, every, _found, per_page=_PER_PAGE),
        "has_warehouse": bool(access.warehouses_of(request.actor)),
    }
    return render(request, "projects/projects.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.EDIT_PROJECTS)
def project_new(request: SignedInRequest) -> HttpResponseBase:
    """Create a project from the text of its `pb_project.yaml`."""
    warehouses = access.warehouses_of(request.actor)
    form = NewProjectForm(request.POST or None, request.FILES or None, warehouses=warehouses)
    context: dict[str, object] = {"form": form, "warehouses": warehouses}
    if form.is_valid():
        try:
            project = projects.create(
                name=form.cleaned_data["name"],
                warehouse=form.cleaned_data["warehouse"],
                output_schema=form.cleaned_data["output_schema"],
                specification_text=form.cleaned_data["text"],
                by=request.actor,
                now=timezone.now(),
            )
        except SpecificationProblems as error:
            context["excerpts"] = form.say(error)
        except NameTaken as error:
            form.add_error("name", str(error))
        else:
            tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=timezone.now()))
            return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)
    return render(request, "projects/project_new.html", context)


@require_safe
@project_page()
def project_home(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Lead to the first tab."""
    return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)


@require_safe
@project_page()
def entities(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Show the project's entities, where their views are, and the last check."""
    specification = from_plain(project.specification)
    views = placements.served_views(project)
    check = checks.latest_check(project.warehouse, project=project)
    cards = entity_pages.cards(project, specification)
    context = {
        "project": project,
        "specification": specification,
        "cards": cards,
        "counting": any(card.counting for card in cards),
        "countable": any(view.relation is not None for view in views),
        "missing": missing_feature_views(specification, project.main_views),
        "check": check,
        "grants": connections.grants_of(project.warehouse, project.output_schema),
        "next_step": next_step(project, views=views, check=check),
    }
    return render(request, "projects/entities.html", context)


@require_POST
@project_page(permission=Permission.EDIT_PROJECTS)
def count(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Ask for the views' rows and NULLs to be counted."""
    for row in counts.request(project, by=request.actor, now=timezone.now()):
        tasks.wake_counter(row)
    return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)


@require_POST
@project_page(permission=Permission.EDIT_PROJECTS)
def main_view(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Serve the main feature view of the entity in the body too, or stop serving it."""
    entity, served = request.POST.get("entity", ""), request.POST.get("served") == "yes"
    now = timezone.now()
    try:
        changed = projects.serve_main_view(project, entity, served=served, by=request.actor, now=now)
    except (EntityUnknown, MainViewRefused, ProjectChanged) as error:
        messages.error(request, str(error))
    else:
        if changed:
            tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=now))
            messages.success(request, _SERVED_TOO if served else _NOT_SERVED_ANY_MORE)
    return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@project_page(permission=Permission.EDIT_PROJECTS)
def placement(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Choose where the view named by `?view=` is."""
    name = request.GET.get("view", "")
    view = next((view for view in placements.served_views(project) if view.feature_view == name), None)
    if view is None:
        raise Http404
    chosen = project.placements.get(name, {})
    initial = {part: chosen.get(part) if part in chosen.get("chosen", []) else "" for part in ("relation", "id_column")}
    form = PlacementForm(request.POST or None, initial=initial, project=project, view=view)
    if form.is_valid():
        try:
            placements.choose(project, name, **form.cleaned_data, by=request.actor, now=timezone.now())
        except (ChoiceUnknown, ProjectChanged) as error:
            form.add_error(None, str(error))
        else:
            tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=timezone.now()))
            return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)
    context = {"project": project, "view": view, "form": form}
    return render(request, "projects/placement.html", context)
