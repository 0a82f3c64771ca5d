"""The pages before an organisation: the first address, the set-up page, log-in and password change."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.views import PasswordChangeView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import setup
from accounts.access import SignedInRequest, last_membership, see_other, signed_in_page
from accounts.addresses import client_address
from accounts.forms import SetUpForm


@require_safe
@signed_in_page
def home(request: SignedInRequest) -> HttpResponse:
    """Lead a person to the organisation they were last in; `SetUpFirst` has taken care of an empty installation."""
    membership = last_membership(request)
    if membership is None:
        return render(request, "accounts/no_organisation.html")
    return redirect("accounts:overview", organisation=membership.organisation.slug)


@never_cache
@sensitive_post_parameters("code", "password")
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Create the organisation and its first Admin, and log them in."""
    if not setup.needed():
        return redirect("accounts:home")
    form = SetUpForm(request.POST or None)
    if form.is_valid():
        try:
            user, organisation = setup.complete(
                **form.cleaned_data, now=timezone.now(), address=client_address(request.META)
            )
        except setup.CodeRefused as refusal:
            form.add_error("code", str(refusal))
        except setup.AlreadySetUp:
            return see_other("accounts:home")
        else:
            get_adapter(request).login(request, user)
            return see_other("accounts:overview", organisation=organisation.slug)
    return render(request, "accounts/set_up.html", {"form": form})


class ChangePassword(PasswordChangeView):  # type: ignore[misc]  # allauth has no types
    """allauth's page; somebody who never had a password has none to change."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer 404 where allauth would lead to a page we do not have."""
        if request.user.is_authenticated and not request.user.has_usable_password():
            raise Http404
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response
