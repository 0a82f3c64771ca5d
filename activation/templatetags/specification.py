"""What the page of a project's specification shows of its sources: the page is the project's, the sources are ours."""

from django import template
from django.template.context import RequestContext

from activation import source_changes
from projects.differences import Difference
from projects.models import Project

register = template.Library()


@register.inclusion_tag("activation/_source_changes.html", takes_context=True)
def source_changes_of(context: RequestContext, project: Project, difference: Difference) -> dict[str, object]:
    """Show which sources a new text adds and retires."""
    return {"request": context["request"], "sources": source_changes.of(project, difference)}
