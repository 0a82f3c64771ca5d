"""An organisation's own pages: overview, members, audit log."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts import audit, members
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.forms import RoleForm
from accounts.models import Membership
from accounts.roles import DESCRIPTIONS, PERMISSIONS, Permission, Role

ROWS_A_PAGE = 50


@require_safe
@organisation_page()
def overview(request: SignedInRequest) -> HttpResponse:
    """Show where to go from here."""
    return render(request, "accounts/overview.html")


@require_safe
@organisation_page()
def member_list(request: SignedInRequest) -> HttpResponse:
    """List the members with their roles, and say what each role may do."""
    context = {"members": members.of(request.actor), "roles": [_in_words(role) for role in Role]}
    return render(request, "accounts/members.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def member_role(request: SignedInRequest, membership_id: int) -> HttpResponseBase:
    """Give a member another role."""
    membership = _membership(request, membership_id)
    form = RoleForm(request.POST or None, initial={"role": membership.role})
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        try:
            members.change_role(membership.pk, role=role, by=request.actor, now=timezone.now())
        except members.LastAdmin as refusal:
            form.add_error("role", str(refusal))
        except Membership.DoesNotExist:
            raise Http404 from None
        else:
            messages.success(request, f"{membership.user.email} is {role.label} now.")
            return see_other("accounts:members", organisation=request.organisation.slug)
    context = {"form": form, "membership": membership, "roles": [_in_words(role) for role in Role]}
    return render(request, "accounts/member.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def member_remove(request: SignedInRequest, membership_id: int) -> HttpResponseBase:
    """Ask, then end a membership."""
    membership = _membership(request, membership_id)
    refused = ""
    if request.method == "POST":
        try:
            members.remove(membership.pk, by=request.actor, now=timezone.now())
        except members.LastAdmin as refusal:
            refused = str(refusal)
        except Membership.DoesNotExist:
            raise Http404 from None
        else:
            messages.success(request, f"{membership.user.email} is no longer a member; their tokens are deleted.")
            return see_other("accounts:members", organisation=request.organisation.slug)
    return render(request, "accounts/member_remove.html", {"membership": membership, "refused": refused})


@require_safe
@organisation_page(permission=Permission.SEE_AUDIT_LOG)
def audit_log(request: SignedInRequest) -> HttpResponse:
    """List who did what, newest first."""
    page = Paginator(audit.of(request.actor), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/audit_log.html", {"page": page})


def _membership(request: SignedInRequest, membership_id: int) -> Membership:
    return get_object_or_404(members.of(request.actor), pk=membership_id)


def _in_words(role: Role) -> dict[str, object]:
    may = [text for permission, text in DESCRIPTIONS.items() if permission in PERMISSIONS[role]]
    return {"label": role.label, "may": may}
