"""Words of our messages, and names, on pages; built in: no page loads them."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_JOINTS = re.compile(r"(?<=[^_])(_+|@)(?=[^_])")
_CODE = re.compile(r"`([^`]+)`")


@register.filter
def code_spans(text: object) -> SafeString:
    """Show what stands between backticks as code; the text itself is escaped."""
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(str(text))))  # noqa: S308 - escaped before the tags are put in


@register.filter
def breakable(name: object) -> SafeString:
    """Show a name, escaped, that may go on in a new line after an underscore or @ before it is broken anywhere."""
    return mark_safe(_JOINTS.sub(r"\1<wbr>", escape(str(name))))  # noqa: S308 - escaped before the tags are put in
