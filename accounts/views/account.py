"""A person's own pages: what colleagues see of them, and the address they log in with."""

from allauth.account.decorators import reauthentication_required
from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import email_changes, letters, members, people
from accounts.access import SignedInRequest, organisation_page, see_other, signed_in_page
from accounts.adapter import tell
from accounts.addresses import client_address
from accounts.forms import EmailForm, ProfileForm
from accounts.models import User


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def account(request: SignedInRequest) -> HttpResponseBase:
    """Show and change one's own name; lead to address, password and tokens."""
    form = ProfileForm(request.POST or None, initial={"name": request.user.name})
    if form.is_valid():
        name = form.cleaned_data["name"]
        people.rename(request.user, name=name, address=request.actor.address, now=timezone.now())
        messages.success(request, "Your name is changed.")
        return see_other("accounts:account", organisation=request.organisation.slug)
    return render(request, "accounts/account.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def leave(request: SignedInRequest) -> HttpResponseBase:
    """Ask, then end one's own membership."""
    refused = ""
    if request.method == "POST":
        try:
            members.leave(by=request.actor, now=timezone.now())
        except members.LastAdmin as refusal:
            refused = str(refusal)
        else:
            messages.success(request, f"You have left {request.organisation.name}.")
            return see_other("accounts:home")
    return render(request, "accounts/leave.html", {"refused": refused})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@reauthentication_required(app="accounts")  # type: ignore[untyped-decorator]  # allauth has no types
def email_change(request: HttpRequest) -> HttpResponseBase:
    """Send a link to the address that somebody wants to log in with."""
    user = _user(request)
    form = EmailForm(request.POST or None)
    if form.is_valid():
        limited: HttpResponseBase | None = ratelimit.consume_or_429(request, action="manage_email")
        if limited is not None:
            return limited
        try:
            email_changes.ask(user, email=form.cleaned_data["email"])
        except email_changes.SameAddress as refusal:
            form.add_error("email", str(refusal))
        except letters.LetterNotSent:
            form.add_error("email", "The e-mail could not be sent. Nothing was changed; try again later.")
        else:
            messages.success(request, f"We sent a link to {form.cleaned_data['email']}. Open it within a day.")
            return see_other("accounts:home_account")
    return render(request, "accounts/email_change.html", {"form": form, "sends": settings.SENDS_EMAIL})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
def email_confirm(request: HttpRequest, token: str) -> HttpResponseBase:
    """Ask, then have the person log in with the address that the link was sent to.

    A POST: programs that look through letters open every link in them.
    """
    user = _user(request)
    try:
        change = email_changes.find(token, user=user)
        if request.method == "POST":
            email_changes.confirm(change, address=client_address(request.META), now=timezone.now())
            _tell_former(user, change.former)
            messages.success(request, f"You log in as {change.email} from now on.")
            return see_other("accounts:home_account")
    except email_changes.LinkClosed as refusal:
        return render(request, "accounts/link_closed.html", {"message": str(refusal)}, status=410)
    return render(request, "accounts/email_confirm.html", {"change": change})


@signed_in_page
def home_account(request: HttpRequest) -> HttpResponseBase:
    """Lead to one's profile in the organisation one was last in."""
    organisation = getattr(request, "organisation", None)
    if organisation is None:
        return see_other("accounts:home")
    return see_other("accounts:account", organisation=organisation.slug)


def _tell_former(user: User, former: str) -> None:
    tell(
        User(email=former),
        "Your e-mail address was changed",
        f"Your account at Activation API logs in as {user.email} from now on, no longer as {former}.",
    )


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
