"""A person's security page: password, second factors, and the browsers they are logged in with."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts import people, sessions, two_factor
from accounts.access import see_other, signed_in_page
from accounts.addresses import client_address
from accounts.models import User


@require_safe
@signed_in_page
def security(request: HttpRequest) -> HttpResponse:
    """Show how one logs in, and where one is logged in."""
    user = _user(request)
    codes = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    factors = [*two_factor.factors(user.pk)]
    context = {
        "app": next((factor for factor in factors if factor.type == Authenticator.Type.TOTP), None),
        "passkeys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "is_on": bool(factors),
        "demanding": two_factor.demanding(user.pk),
        "sessions": sessions.of(user, now=timezone.now()),
        "this_session": request.session.session_key,
        "single_sign_on": settings.OIDC_NAME if SocialAccount.objects.filter(user=user).exists() else "",
    }
    return render(request, "accounts/security.html", context)


@require_POST
@signed_in_page
def sessions_end_others(request: HttpRequest) -> HttpResponseBase:
    """Log other browsers out."""
    user = _user(request)
    count = sessions.end_others(user, keep=request.session.session_key)
    if count:
        people.sessions_ended(user, count=count, address=client_address(request.META), now=timezone.now())
    messages.success(request, "You are logged out everywhere else.")
    return see_other("mfa_index")


@require_POST
@signed_in_page
def session_end(request: HttpRequest, session: str) -> HttpResponseBase:
    """Log one browser out."""
    user = _user(request)
    if not sessions.end(user, session):
        raise Http404
    people.sessions_ended(user, count=1, address=client_address(request.META), now=timezone.now())
    messages.success(request, "That browser is logged out.")
    return see_other("mfa_index")


class RemovePasskey(RemoveWebAuthnView):  # type: ignore[misc]  # allauth has no types
    """allauth's page, which would let the last factor go where an organisation asks for one."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Say why a passkey has to stay."""
        if request.method == "POST":
            adapter = get_adapter()
            if not adapter.can_delete_authenticator(self.get_object()):
                messages.error(request, adapter.error_messages["cannot_delete_authenticator"])
                return see_other("mfa_index")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
