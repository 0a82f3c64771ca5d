"""The Settings tab of a project: general, specification, delete."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from projects import access, checks, differences, pb_project, projects, tasks
from projects.differences import Difference
from projects.forms import DeleteForm, GeneralForm, SpecificationForm
from projects.models import Project
from projects.pages import project_page
from projects.problems import SpecificationProblems
from projects.projects import NameTaken, ProjectChanged, ProjectInUse

_ANY = ["GET", "HEAD", "POST"]


@require_http_methods(_ANY)
@project_page()
def general(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Show and change a project's name, warehouse and output schema."""
    initial = {"name": project.name, "warehouse": project.warehouse, "output_schema": project.output_schema}
    warehouses = access.warehouses_of(request.actor)
    form = GeneralForm(request.POST or None, initial=initial, warehouses=warehouses)
    if request.method == "POST":
        request.actor.require(Permission.EDIT_PROJECTS)
    if form.is_valid() and _changed(request, project, form):
        messages.success(request, f"{project.name} is changed.")
        return see_other("projects:settings", organisation=request.organisation.slug, project=project.slug)
    context = {"project": project, "form": form}
    return render(request, "projects/settings.html", context)


@require_http_methods(_ANY)
@project_page()
def specification(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Show a project's `pb_project.yaml`, what another text would change, and replace it once that is confirmed."""
    initial = {"text": project.specification_text, "revision": project.specification_revision}
    form = SpecificationForm(request.POST or None, request.FILES or None, initial=initial)
    context: dict[str, object] = {"project": project, "form": form}
    if request.method == "POST":
        request.actor.require(Permission.EDIT_PROJECTS)
    step = request.POST.get("step", "")
    if form.is_valid() and step != "edit":
        try:
            if step == "store":
                return _stored(request, project, form)
            context["difference"] = _difference(project, form)
        except SpecificationProblems as error:
            context["excerpts"] = form.say(error)
        except ProjectChanged as error:
            form.add_error(None, f"{error} What you sent is below: send it again to see what it changes now.")
            project.refresh_from_db()
            form.follow(project.specification_revision)
        else:
            return render(request, "projects/specification_change.html", context)
    return render(request, "projects/specification.html", context)


@require_http_methods(_ANY)
@project_page(permission=Permission.DELETE_THINGS)
def delete(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Delete a project, after its name was typed."""
    form = DeleteForm(request.POST or None, expected=project.name)
    if form.is_valid():
        try:
            projects.delete(project, by=request.actor, now=timezone.now())
        except ProjectInUse as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{project.name} is deleted.")
            return see_other("projects:list", organisation=request.organisation.slug)
    context = {"project": project, "form": form}
    return render(request, "projects/project_delete.html", context)


def _difference(project: Project, form: SpecificationForm) -> Difference:
    """Tell what the text on the form changes. Raises `SpecificationProblems`, `ProjectChanged`."""
    text = form.cleaned_data["text"]
    wanted = pb_project.read(text)
    if form.cleaned_data["revision"] != project.specification_revision:
        raise ProjectChanged
    return differences.of(project, wanted, text)


def _stored(request: SignedInRequest, project: Project, form: SpecificationForm) -> HttpResponseBase:
    """Store the text on the form and have its views checked. Raises as `projects.edit_specification` does."""
    now, values = timezone.now(), form.cleaned_data
    projects.edit_specification(project, text=values["text"], revision=values["revision"], by=request.actor, now=now)
    tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=now))
    messages.success(request, f"Revision {project.specification_revision} is stored. Its views are being checked.")
    return see_other("projects:detail", organisation=request.organisation.slug, project=project.slug)


def _changed(request: SignedInRequest, project: Project, form: GeneralForm) -> bool:
    """Apply what was typed, or put the reason why not on the form."""
    now = timezone.now()
    try:
        projects.change(
            project,
            name=form.cleaned_data["name"],
            warehouse=form.cleaned_data["warehouse"],
            output_schema=form.cleaned_data["output_schema"],
            by=request.actor,
            now=now,
        )
    except (NameTaken, ProjectChanged) as error:
        form.add_error("name" if isinstance(error, NameTaken) else None, str(error))
        project.refresh_from_db()
        return False
    if "warehouse" in form.changed_data or "output_schema" in form.changed_data:
        tasks.wake(checks.request_check(project.warehouse, project=project, by=request.actor, now=now))
    return True
