"""What the overview shows of the syncs: the page is the organisation's, its heart is ours."""

from dataclasses import dataclass

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils import timezone

from accounts import lists, members
from accounts.actors import Actor
from activation import first_steps, overviews
from activation.attention import Item
from activation.first_steps import FirstSteps, Step
from projects import access

PER_PAGE = 25
ITEMS_SHOWN = 5
register = template.Library()


@dataclass(frozen=True)
class Linked:
    """A step or an item with the address of its page; "" where there is none yet."""

    what: Item | Step
    url: str


@register.inclusion_tag("activation/_overview.html", takes_context=True)
def projects_in_sync(context: RequestContext) -> dict[str, object]:
    """Show what needs somebody and the organisation's projects, or the first steps of one that has just begun."""
    request = context["request"]
    actor: Actor = request.actor
    overview = overviews.of(actor, now=timezone.now())
    items = [_linked(actor, item) for item in overview.items]
    return {
        "request": request,
        "overview": overview,
        "listing": lists.of(request, overview.lines, overviews.found, per_page=PER_PAGE),
        "items": items[:ITEMS_SHOWN],
        "more_items": items[ITEMS_SHOWN:],
        **_first_steps(actor, overview),
    }


def _first_steps(actor: Actor, overview: overviews.Overview) -> dict[str, object]:
    steps: FirstSteps | None = first_steps.of(actor, overview.lines)
    hidden = steps is not None and members.hides_first_steps(actor)
    shown = steps is not None and not hidden
    return {
        "first_steps": steps if shown else None,
        "steps": [_linked(actor, step) for step in steps.steps] if steps is not None and shown else [],
        "steps_are_hidden": hidden,
        "has_warehouse": bool(not overview.lines and not shown and access.warehouses_of(actor)),
    }


def _linked(actor: Actor, what: Item | Step) -> Linked:
    return Linked(what, reverse(what.page, args=[actor.organisation.slug, *what.parts]) if what.page else "")
