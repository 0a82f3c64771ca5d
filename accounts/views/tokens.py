"""Personal access tokens, from generating to deleting."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tokens
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.actors import PermissionRefused
from accounts.models import PersonalAccessToken
from accounts.roles import Permission, Role
from accounts.token_form import NewTokenForm

ROWS_A_PAGE = 50
OWN_LIST = ("accounts:tokens", "Personal access tokens")
EVERYONES_LIST = ("accounts:everyones_tokens", "Everyone's tokens")


@require_safe
@organisation_page()
def token_list(request: SignedInRequest) -> HttpResponse:
    """List one's own tokens, without their secrets."""
    context = {"tokens": tokens.own(request.actor), "now": timezone.now(), "own": True}
    return render(request, "accounts/tokens.html", context)


@require_safe
@organisation_page(permission=Permission.MANAGE_ALL_TOKENS)
def everyones_tokens(request: SignedInRequest) -> HttpResponse:
    """List the tokens of all members."""
    page = Paginator(tokens.everyones(request.actor), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {"tokens": page, "now": timezone.now()}
    return render(request, "accounts/everyones_tokens.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def token_new(request: SignedInRequest) -> HttpResponse:
    """Generate a token. The answer to the POST is the only page that ever shows its text, and nobody may keep it."""
    now = timezone.now()
    form = NewTokenForm(request.POST or None, own_role=request.actor.role, now=now)
    if form.is_valid():
        issued = tokens.issue(
            name=form.cleaned_data["name"],
            role=Role(form.cleaned_data["role"]),
            expires_at=form.expires_at,
            limits=form.given_limits,
            by=request.actor,
            now=now,
        )
        context = {"token": issued.token, "text": issued.text}
        return render(request, "accounts/token_shown_once.html", context)
    return render(request, "accounts/token_new.html", {"form": form})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def token_rotate(request: SignedInRequest, public_part: str) -> HttpResponseBase:
    """Ask, then give one's own token another secret; the old one works until it is ended here."""
    token = get_object_or_404(tokens.own(request.actor).filter(trial=False), public_part=public_part)
    if request.method == "POST":
        try:
            issued = tokens.rotate(public_part, by=request.actor, now=timezone.now())
        except PersonalAccessToken.DoesNotExist:
            raise Http404 from None
        except tokens.RotationOpen as refusal:
            messages.error(request, str(refusal))
            return see_other("accounts:tokens", organisation=request.organisation.slug)
        return render(request, "accounts/token_shown_once.html", {"token": issued.token, "text": issued.text})
    return render(request, "accounts/token_rotate.html", {"token": token})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def token_end_rotation(request: SignedInRequest, public_part: str) -> HttpResponseBase:
    """Ask, then have the old secret of one's own token open nothing any more."""
    token = get_object_or_404(tokens.own(request.actor).exclude(second_digest=None), public_part=public_part)
    if request.method == "POST":
        try:
            tokens.end_rotation(public_part, by=request.actor, now=timezone.now())
        except PersonalAccessToken.DoesNotExist:
            raise Http404 from None
        messages.success(request, f"The old secret of {token.name} stops working within a second.")
        return see_other("accounts:tokens", organisation=request.organisation.slug)
    return render(request, "accounts/token_end_rotation.html", {"token": token})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def token_delete(request: SignedInRequest, public_part: str) -> HttpResponseBase:
    """Ask, then delete one's own token or, as an Admin, anybody's."""
    actor = request.actor
    token = get_object_or_404(tokens.of(actor).select_related("owner"), public_part=public_part)
    if token.owner_id != actor.user_id and not actor.may(Permission.MANAGE_ALL_TOKENS):
        raise PermissionRefused(Permission.MANAGE_ALL_TOKENS)
    back, back_label = OWN_LIST if token.owner_id == actor.user_id else EVERYONES_LIST
    if request.method == "POST":
        try:
            tokens.revoke(public_part, by=actor, now=timezone.now())
        except PersonalAccessToken.DoesNotExist:
            raise Http404 from None
        messages.success(request, f"The token {token.name} is deleted. It stops working within a second.")
        return see_other(back, organisation=request.organisation.slug)
    return render(request, "accounts/token_delete.html", {"token": token, "back": back, "back_label": back_label})
