"""Template tags that lead from a page, and from what went wrong on it, to the guide that explains it."""

from dataclasses import dataclass

from django import template
from django.template.context import RequestContext
from django.urls import reverse

from config import guides, page_guides

register = template.Library()

TROUBLE = "troubleshooting"
_ANSWERS_OF_REDIS = "redis_"  # an error word that is in none of our tables follows
_READING_A_VIEW = "reading-a-view"  # its step is named after the view


@dataclass(frozen=True)
class Link:
    """Where to read on, and what the guide is called."""

    url: str
    title: str


@register.simple_tag(takes_context=True)
def page_guide(context: RequestContext) -> Link | None:
    """Return the guide of the present page; none on the guides' own pages and where no address matched."""
    match = getattr(context.get("request"), "resolver_match", None)
    where = page_guides.of(match.view_name) if match else ""
    if not where:
        return None
    slug, _, anchor = where.partition("#")
    return Link(_url(slug, anchor), guides.guide(slug).title)


@register.simple_tag
def step_guide(name: str) -> str:
    """Return where a failed step of a check or a connection test is explained; "" for a step that is not."""
    anchor = _READING_A_VIEW if name.startswith("View ") else name.lower().replace(",", "").replace(" ", "-")
    return _url(TROUBLE, anchor) if anchor in guides.guide(TROUBLE).anchors else ""


@register.simple_tag
def error_guide(code: str) -> str:
    """Return where an error of a sync is explained, by its code or a code that its section names."""
    codes = guides.guide(TROUBLE).codes
    if code not in codes and code.startswith(_ANSWERS_OF_REDIS):
        code = f"{_ANSWERS_OF_REDIS}…"
    return _url(TROUBLE, codes.get(code, "a-sync-that-failed"))


def _url(slug: str, anchor: str) -> str:
    return reverse("guide", args=[slug]) + (f"#{anchor}" if anchor else "")
