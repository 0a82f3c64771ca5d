"""Shows beside a new token how to call the API with it: the page is the person's, the call is ours."""

from django import template
from django.template.context import RequestContext

from activation import samples

register = template.Library()


@register.inclusion_tag("activation/_call_with_token.html", takes_context=True)
def call_with_token(context: RequestContext, token: str) -> dict[str, object]:
    """Show a call with the token, ready but for the id of a person; before anything is served, also for the rest."""
    source = samples.typical_source(context["request"].organisation)
    choices = samples.of_source(source, token=token) if source else samples.of_nothing_yet(token=token)
    return {"source": source, "choices": choices}
