"""Log-in by the operator's OpenID Connect provider: for people we know, and for those an organisation waits for.

The operator names one provider and so trusts it to say who somebody is. An account is found by the provider's own id of
the person, the first time by their e-mail address, and only by one that the provider says it has verified (or that the
operator vouches for). Nobody signs up: an address that has neither an account nor an open invitation is turned away.
"""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.openid_connect.views import callback as allauth_callback
from allauth.socialaccount.providers.openid_connect.views import login as allauth_login
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from accounts import invitations, names, people
from accounts.addresses import client_address
from accounts.models import User

PROVIDER = "sso"
UNKNOWN = (
    "Nobody with your e-mail address is known here. Ask an Admin of your organisation to invite you, "
    "then open the link in the invitation."
)
UNVERIFIED = "Your provider does not say that your e-mail address is verified. Log in with your password instead."
FAILED = "Log-in by your provider did not work. Try again, or log in with your password."


def is_on() -> bool:
    """Tell whether the operator has named a provider."""
    return bool(settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"])


@never_cache
@require_POST
def start(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Send the browser to the provider.

    By a page that moves on by itself: our CSP lets forms lead to our own pages only, and a browser holds it against
    every redirect of a form's answer.
    """
    try:
        response: HttpResponseBase = allauth_login(request, provider_id)
    except RequestException:
        return _turned_away(request, FAILED)
    if not isinstance(response, HttpResponseRedirect):
        return response
    page = render(request, "account/to_provider.html", {"url": response.url, "name": settings.OIDC_NAME})
    page["Refresh"] = f"0; url={response.url}"
    return page


@never_cache
@require_safe
def finish(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Take what the provider answered."""
    response: HttpResponseBase = allauth_callback(request, provider_id)
    return response


class SingleSignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Whom single sign-on lets in."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Know the operator's provider only, and ask no database for others."""
        configured = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
        apps = [SocialApp(provider="openid_connect", **app) for app in configured]
        return [app for app in apps if provider in {None, app.provider, app.provider_id}]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find the account by the verified address, the first time somebody comes this way."""
        if sociallogin.is_existing:
            return
        email = verified_email(sociallogin)
        if email is None:
            raise ImmediateHttpResponse(_turned_away(request, UNVERIFIED))
        user = User.objects.filter(email=email).first()
        if user is not None:
            sociallogin.connect(request, user)
            people.two_factor_changed("single_sign_on_linked", user, address=client_address(request.META), details={})

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Let in whom an organisation waits for; they become a member by accepting, not by coming here."""
        email = verified_email(sociallogin)
        if email is None or not invitations.awaited(email, now=timezone.now()):
            raise ImmediateHttpResponse(_turned_away(request, UNKNOWN))
        return True

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Take the address and the name from the provider."""
        user: User = sociallogin.user
        user.email = verified_email(sociallogin) or ""
        user.name = names.cleaned(str(data.get("name") or ""))[:100]
        return user

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: object = None) -> User:
        """Make the account of somebody invited; allauth's own note of their address would go stale."""
        user: User = super().save_user(request, sociallogin, form)
        EmailAddress.objects.filter(user=user).delete()
        return user

    def on_authentication_error(self, request: HttpRequest, provider: object, **kwargs: Any) -> None:
        """Answer with the log-in page instead of allauth's."""
        raise ImmediateHttpResponse(_turned_away(request, FAILED))


def verified_email(sociallogin: SocialLogin) -> str | None:
    """Return the person's address, if the provider has verified it or the operator vouches for the provider."""
    told: dict[str, Any] = sociallogin.account.extra_data
    claims: dict[str, Any] = told.get("userinfo") or told.get("id_token") or {}
    email = str(claims.get("email") or "").strip().lower()
    verified = claims.get("email_verified") is True or settings.OIDC_EMAIL_VERIFIED
    return email if email and verified else None


def _turned_away(request: HttpRequest, message: str) -> HttpResponse:
    messages.error(request, message)
    return redirect("account_login")
