"""Template tags for the shared pieces under `templates/components/`."""

from django import template

register = template.Library()
