"""What the Entities tab shows of the syncs: the page is the project's, where its views stand in Redis is ours."""

from collections.abc import Mapping
from typing import TypeAlias

from django import template
from django.utils import timezone

from activation import standings
from activation.models import Source
from activation.standings import Standing
from projects.models import Project
from projects.placements import ServedView

register = template.Library()

Standings: TypeAlias = Mapping[tuple[str, str, str], Standing]


@register.simple_tag
def standings_of(project: Project) -> Standings:
    """Return where each source of a project stands, in a fixed number of queries, for the filter `of_view`."""
    rows = standings.of_sources(Source.objects.filter(activation__project=project), now=timezone.now())
    return {(row.source.entity, row.source.id_type, row.source.feature_view): row for row in rows}


@register.filter
def of_view(found: Standings, view: ServedView) -> Standing | None:
    """Pick the standing of a view's source; None while there is none."""
    return found.get((view.entity, view.id_type, view.feature_view))
