"""What the overview shows of the syncs: the page is the organisation's, its heart is ours."""

from dataclasses import dataclass

from django import template
from django.template.context import RequestContext
from django.utils import timezone

from accounts.actors import Actor
from activation import standings
from activation.models import Activation, Source
from projects import access
from projects.models import Project

register = template.Library()


@dataclass(frozen=True)
class ProjectLine:
    """A project and where its sync stands; both are None while the sync was never turned on."""

    project: Project
    activation: Activation | None = None
    summary: standings.Summary | None = None


@register.inclusion_tag("activation/_overview.html", takes_context=True)
def projects_in_sync(context: RequestContext) -> dict[str, object]:
    """Show the organisation's projects with where the sync of each stands, or the first step of an empty one."""
    actor: Actor = context["request"].actor
    return {
        "request": context["request"],
        "lines": project_lines(actor),
        "has_warehouse": bool(access.warehouses_of(actor)),
    }


def project_lines(actor: Actor) -> list[ProjectLine]:
    """List the organisation's projects by name, in a fixed number of queries a project."""
    projects = access.projects_of(actor)
    found = Activation.objects.filter(project__in=projects).select_related("destination")
    activations = {activation.project_id: activation for activation in found}
    rows = standings.of_sources(Source.objects.filter(activation__in=activations.values()), now=timezone.now())
    return [_line(project, activations.get(project.pk), rows) for project in projects]


def _line(project: Project, activation: Activation | None, rows: list[standings.Standing]) -> ProjectLine:
    if activation is None:
        return ProjectLine(project)
    own = [row for row in rows if row.source.activation_id == activation.pk]
    return ProjectLine(project, activation, standings.summary(activation, own))
