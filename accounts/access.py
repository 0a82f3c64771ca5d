"""The way into every page of an organisation: who it is, whether they belong here, and whether they may do this.

Logged out → the log-in page and back. A stranger gets the same 404 as for an address that does not exist, so slugs
tell nothing. A member whose role is too weak gets a 403 that says so; so does one whom a use case refuses later on.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.cache import patch_cache_control
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.actors import Actor, PermissionRefused
from accounts.addresses import client_address
from accounts.models import Membership, Organisation, User
from accounts.roles import Permission, Role

P = ParamSpec("P")


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
            signed_in.actor = member(request, organisation)
            signed_in.organisation = signed_in.actor.organisation
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


def signed_in_page(view: Page[P]) -> View:
    """Make a view a page of a person rather than of an organisation; logged out → the log-in page and back."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return to_login(request)
        return view(cast("SignedInRequest", request), *args, **kwargs)

    return page


def member(request: HttpRequest, slug: str) -> Actor:
    """Return the person as an actor of the organisation; `Http404` for a stranger and for a slug nobody has."""
    membership = (
        Membership.objects.select_related("organisation").filter(user=request.user.pk, organisation__slug=slug).first()
    )
    if membership is None:
        raise Http404
    return as_actor(membership, request)


def as_actor(membership: Membership, request: HttpRequest) -> Actor:
    """Return the logged-in person of `membership` as an actor who came with `request`."""
    return Actor(
        organisation=membership.organisation,
        role=Role(membership.role),
        name=request.user.get_username(),
        user_id=membership.user_id,
        address=client_address(request.META),
    )


def see_other(to: str, *args: object, **kwargs: object) -> HttpResponseRedirect:
    """Answer a POST that did its work with a 303 to a page; `to` and the rest as for `redirect`."""
    return HttpResponseRedirect(resolve_url(to, *args, **kwargs), status=303)


def to_login(request: HttpRequest) -> HttpResponse:
    """Send the browser to the log-in page and from there back here; a fragment's page is sent as a whole."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    here = (htmx.current_url_abs_path if htmx else None) or request.get_full_path()
    login = f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': here})}"
    return HttpResponseClientRedirect(login) if htmx else redirect(login)
