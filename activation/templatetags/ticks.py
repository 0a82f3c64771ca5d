"""Shows what stands between backticks in a text as code, and nothing else of it as markup."""

import re

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_TICKED = re.compile(r"`([^`]+)`")


@register.filter
def ticks(text: str) -> SafeString:
    """Write a text with its code marked."""
    pieces = _TICKED.split(text)  # text, code, text, code, …
    marked = [format_html("<code>{}</code>", piece) if at % 2 else escape(piece) for at, piece in enumerate(pieces)]
    return mark_safe("".join(marked))  # noqa: S308 - every piece is escaped
