"""The way into every page of an organisation: who it is, whether they belong here, and whether they may do this.

Logged out → the log-in page and back. A stranger gets the same 404 as for an address that does not exist, so slugs
tell nothing. A member whose role is too weak gets a 403 that says so; so does one whom a use case refuses later on.
A member without the second factor that the organisation asks for is sent to the page where they set one up.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts import sessions, two_factor
from accounts.actors import Actor, PermissionRefused
from accounts.addresses import client_address
from accounts.models import Membership, Organisation, User
from accounts.roles import Permission

P = ParamSpec("P")
_LAST = "organisation"


class SignedInRequest(HttpRequest):
    """A request of a member, for a page of their organisation."""

    user: User
    actor: Actor
    organisation: Organisation
    htmx: HtmxDetails


Page = Callable[Concatenate[SignedInRequest, P], HttpResponseBase]
View = Callable[..., HttpResponseBase]


def organisation_page(*, permission: Permission = Permission.VIEW) -> Callable[[Page[P]], View]:
    """Make a view a page of the organisation whose slug is the address's `organisation`, for roles with `permission`.

    The view gets a `SignedInRequest` and the remaining parts of the address.
    """

    def decorate(view: Page[P]) -> View:
        @wraps(view)
        def page(request: HttpRequest, *args: Any, organisation: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_login(request)
            signed_in = cast("SignedInRequest", request)
            actor = member(request, organisation)
            if two_factor.is_missing(actor.user_id, actor.organisation):
                return _to_second_factor(request, actor.organisation)
            _enter(signed_in, actor)
            try:
                signed_in.actor.require(permission)
                response = view(signed_in, *args, **kwargs)
            except PermissionRefused as refusal:
                response = render(request, "403.html", {"message": str(refusal)}, status=403)
            if not response.has_header("Cache-Control"):
                patch_cache_control(response, private=True, no_cache=True)
            return response

        page.permission = permission  # type: ignore[attr-defined]  # for the test that walks every address
        return page

    return decorate


def signed_in_page(view: Callable[..., HttpResponseBase]) -> View:
    """Make a view a page of a person rather than of an organisation; logged out → the log-in page and back.

    It is framed by the organisation that the person was last in, if that lets them in.
    """

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return to_login(request)
        if not _frame(request):
            sessions.note(request, user=request.user, now=timezone.now())
        response = view(request, *args, **kwargs)
        if not response.has_header("Cache-Control"):
            patch_cache_control(response, private=True, no_cache=True)
        return response

    return page


def open_page(view: Callable[..., HttpResponse]) -> View:
    """Make a view a page that everybody may read; who is logged in sees it framed as a page of their organisation."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            _frame(request)
        response = view(request, *args, **kwargs)
        patch_cache_control(response, private=True, no_cache=True)
        return response

    return page


def _frame(request: HttpRequest) -> bool:
    """Put the person into the organisation they were last in; tells whether it lets them in."""
    membership = last_membership(request)
    if membership is None or two_factor.is_missing(membership.user_id, membership.organisation):
        return False
    _enter(cast("SignedInRequest", request), _as_actor(membership, request))
    return True


def last_membership(request: HttpRequest) -> Membership | None:
    """Return the person's membership of the organisation they were last in, else of their first by name."""
    memberships = Membership.objects.filter(user=request.user.pk).select_related("organisation", "user")
    last = memberships.filter(organisation__slug=request.session.get(_LAST, "")).first()
    return last or memberships.order_by("organisation__name", "pk").first()


def member(request: HttpRequest, slug: str) -> Actor:
    """Return the person as an actor of the organisation; `Http404` for a stranger and for a slug nobody has."""
    memberships = Membership.objects.select_related("organisation", "user")
    membership = memberships.filter(user=request.user.pk, organisation__slug=slug).first()
    if membership is None:
        raise Http404
    return _as_actor(membership, request)


def _as_actor(membership: Membership, request: HttpRequest) -> Actor:
    return Actor.member(membership, address=client_address(request.META))


def _enter(request: SignedInRequest, actor: Actor) -> None:
    """Put the person into the organisation, and remember it as the one they were last in."""
    request.actor, request.organisation = actor, actor.organisation
    sessions.note(request, user=request.user, now=timezone.now())
    if request.session.get(_LAST) != actor.organisation.slug:
        request.session[_LAST] = actor.organisation.slug


def _to_second_factor(request: HttpRequest, organisation: Organisation) -> HttpResponse:
    messages.error(request, f"{organisation.name} requires two-factor log-in. Set it up here, then go on.")
    page = resolve_url("mfa_index")
    return HttpResponseClientRedirect(page) if getattr(request, "htmx", None) else see_other(page)


def see_other(to: str, *args: object, **kwargs: object) -> HttpResponseRedirect:
    """Answer a POST that did its work with a 303 to a page; `to` and the rest as for `redirect`."""
    return HttpResponseRedirect(resolve_url(to, *args, **kwargs), status=303)


def to_login(request: HttpRequest) -> HttpResponse:
    """Send the browser to the log-in page and from there back here; a fragment's page is sent as a whole."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    here = (htmx.current_url_abs_path if htmx else None) or request.get_full_path()
    login = f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': here})}"
    return HttpResponseClientRedirect(login) if htmx else redirect(login)
