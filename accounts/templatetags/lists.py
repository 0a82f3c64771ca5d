"""The form above a long list; its columns and pages are `column` and `pagination`."""

from typing import Any

from django import template
from django.template.context import RequestContext

from accounts.lists import LONGEST_QUERY, Listing

register = template.Library()


@register.inclusion_tag("components/find.html", takes_context=True)
def find(context: RequestContext, listing: Listing[Any], label: str, placeholder: str) -> dict[str, object]:
    """Offer to look for words in a list; nothing where it is short."""
    request = context["request"]
    return {
        "listing": listing,
        "label": label,
        "placeholder": placeholder,
        "longest": LONGEST_QUERY,
        "sort": request.GET.get("sort", ""),
        "path": request.path,
    }
