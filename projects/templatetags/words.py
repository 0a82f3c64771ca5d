"""Words of our messages on pages."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_CODE = re.compile(r"`([^`]+)`")


@register.filter
def code_spans(text: object) -> SafeString:
    """Show what stands between backticks as code; the text itself is escaped."""
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(str(text))))  # noqa: S308 - escaped before the tags are put in
