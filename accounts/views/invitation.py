"""The page that the link of an invitation opens, for people who have an account and for those who have none."""

from allauth.account.adapter import get_adapter
from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import invitations, single_sign_on
from accounts.access import see_other
from accounts.addresses import client_address
from accounts.forms import JoinForm
from accounts.models import Invitation, User


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, invitation: str, secret: str) -> HttpResponseBase:
    """Let somebody join: logged in as the person invited, or with a new account of theirs."""
    try:
        found = invitations.find(invitation, secret, now=timezone.now())
        if isinstance(request.user, User):
            return _join(request, found, request.user)
        if User.objects.filter(email=found.email).exists():
            return _log_in_first(request, found)
        return _join_as_new(request, found)
    except invitations.InvitationClosed as refusal:
        return render(request, "accounts/link_closed.html", {"message": str(refusal)}, status=410)


def _join(request: HttpRequest, found: Invitation, user: User) -> HttpResponseBase:
    if user.email != found.email:
        return render(request, "accounts/invitation_not_yours.html", {"invitation": found}, status=403)
    if request.method == "POST":
        invitations.accept(found, user=user, address=client_address(request.META), now=timezone.now())
        return see_other("accounts:overview", organisation=found.organisation.slug)
    return render(request, "accounts/invitation.html", {"invitation": found})


def _log_in_first(request: HttpRequest, found: Invitation) -> HttpResponse:
    login = f"{resolve_url('account_login')}?{urlencode({'next': request.path})}"
    return render(request, "accounts/invitation_log_in.html", {"invitation": found, "login": login})


def _join_as_new(request: HttpRequest, found: Invitation) -> HttpResponseBase:
    form = JoinForm(request.POST or None, email=found.email)
    if form.is_valid():
        limited: HttpResponseBase | None = ratelimit.consume_or_429(request, action="signup")
        if limited is not None:
            return limited
        try:
            membership = invitations.accept_as_new(
                found, **form.cleaned_data, address=client_address(request.META), now=timezone.now()
            )
        except invitations.NotYours:
            return see_other(request.path)
        get_adapter(request).login(request, membership.user)
        return see_other("accounts:overview", organisation=found.organisation.slug)
    context = {"form": form, "invitation": found, "single_sign_on": single_sign_on.is_on()}
    return render(request, "accounts/invitation_new.html", context)
