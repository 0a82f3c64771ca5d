"""Template tags for the page frame: the navigation, the organisations of a person, the chosen theme.

Pages outside an organisation (log-in, set-up, errors) have no `request.actor`, and an error page may have no request
at all; then the frame is not drawn.
"""

from dataclasses import dataclass

from django import template
from django.conf import settings
from django.template.context import RequestContext
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString, mark_safe

from accounts.actors import Actor
from accounts.models import Organisation
from accounts.roles import Permission

register = template.Library()


@dataclass(frozen=True)
class Place:
    """One of the main places: what it is called, where it begins, and who sees it."""

    label: str
    icon: str
    url_name: str
    paths: tuple[str, ...]  # what follows the organisation's slug in every address of the place
    permission: Permission = Permission.VIEW


@dataclass(frozen=True)
class Item:
    """A link of the navigation; `current` is the value of aria-current or empty."""

    label: str
    icon: str
    url: str
    current: str


@dataclass(frozen=True)
class OtherOrganisation:
    name: str
    url: str


PLACES = (
    Place("Overview", "overview", "accounts:overview", ()),
    Place("Projects", "projects", "projects:list", ("projects/", "sources/", "syncs/", "previews/")),
    Place("Destinations", "destinations", "activation:destinations", ("destinations/",)),
    Place("Warehouses", "warehouses", "projects:warehouses", ("warehouses/", "checks/")),
    Place("Audit log", "audit", "accounts:audit", ("audit-log/",), Permission.SEE_AUDIT_LOG),
    Place("Settings", "settings", "accounts:account", ("settings/",)),
)
THEMES = ("light", "dark")


@register.simple_tag(takes_context=True)
def menu(context: RequestContext) -> SafeString:
    """Draw the navigation, once for both places of a page that show it: its top and its side."""
    assert context.template is not None  # a tag is drawn by one
    with context.push():
        return context.template.engine.get_template("components/navigation.html").render(context)


@register.simple_tag(takes_context=True)
def navigation(context: RequestContext) -> list[Item]:
    """List the main places that the person may see, the present one marked."""
    request = context["request"]
    prefix = f"/o/{request.organisation.slug}/"
    # A person's own pages, of no organisation, belong to the settings.
    own = request.path.startswith("/account/")
    rest = "settings/" if own else request.path.removeprefix(prefix)
    return [
        Item(place.label, place.icon, url, _current(place, rest, request.path == url))
        for place in PLACES
        if request.actor.may(place.permission) and (url := _url(place.url_name, request.organisation))
    ]


@register.filter
def may(actor: Actor, permission: str) -> bool:
    """Tell whether the actor's role includes a permission, by its value: `request.actor|may:"manage_members"`."""
    return actor.may(Permission(permission))


@register.simple_tag(takes_context=True)
def organisations(context: RequestContext) -> list[OtherOrganisation]:
    """List the person's organisations other than the present one, by name."""
    request = context["request"]
    others = (
        Organisation.objects.filter(memberships__user=request.user)
        .exclude(pk=request.organisation.pk)
        .order_by("name")
        .only("name", "slug")
    )
    return [OtherOrganisation(other.name, _url("accounts:overview", other)) for other in others]


@register.simple_tag
def single_sign_on_name() -> str:
    """Return what the operator's provider of single sign-on is called, or nothing where there is none."""
    name: str = settings.OIDC_NAME
    return name if settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] else ""


@register.simple_tag
def sends_email() -> bool:
    """Tell whether this installation sends e-mail."""
    return bool(settings.SENDS_EMAIL)


@register.simple_tag(takes_context=True)
def page_url(context: RequestContext, url_name: str) -> str:
    """Return the address of a page of the present organisation that needs nothing but its slug."""
    return _url(url_name, context["request"].organisation)


@register.simple_tag(takes_context=True)
def theme(context: RequestContext) -> SafeString:
    """Return the attribute that makes the page light or dark from its first paint; without a choice, nothing."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme") if request else None
    return mark_safe(f' data-theme="{chosen}"') if chosen in THEMES else SafeString("")  # noqa: S308 - one of THEMES


def _url(url_name: str, organisation: Organisation) -> str:
    try:
        return reverse(url_name, kwargs={"organisation": organisation.slug})
    except NoReverseMatch:
        return ""


def _current(place: Place, rest: str, exact: bool) -> str:  # noqa: FBT001 - private, read beside its call
    if exact:
        return "page"
    return "true" if rest.startswith(place.paths) else ""
