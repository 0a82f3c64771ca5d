"""Who belongs to an organisation, and who is invited to."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, lock_outs, members, two_factor
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.forms import InviteForm, RoleForm
from accounts.models import Invitation, Membership
from accounts.roles import DESCRIPTIONS, PERMISSIONS, Permission, Role


@require_safe
@organisation_page()
def member_list(request: SignedInRequest) -> HttpResponse:
    """List the members with their roles, and say what each role may do."""
    context = {
        "members": two_factor.marked(members.of(request.actor)),
        "roles": [_in_words(role) for role in Role],
        "invitations": _invitations(request),
        "now": timezone.now(),
    }
    return render(request, "accounts/members.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def member_role(request: SignedInRequest, member: str) -> HttpResponseBase:
    """Give a member another role."""
    membership = _membership(request, member)
    initial = {"role": membership.role, "sees_personal_data": membership.sees_personal_data}
    form = RoleForm(request.POST or None, initial=initial)
    if form.is_valid():
        role, sees = Role(form.cleaned_data["role"]), form.cleaned_data["sees_personal_data"]
        try:
            members.change_role(member, role=role, sees_personal_data=sees, by=request.actor, now=timezone.now())
        except members.LastAdmin as refusal:
            form.add_error("role", str(refusal))
        except Membership.DoesNotExist:
            raise Http404 from None
        else:
            messages.success(request, f"{membership.user.email} is {role.label} now.")
            return see_other("accounts:members", organisation=request.organisation.slug)
    now = timezone.now()
    locked_until = lock_outs.until(membership.user.email, user_id=membership.user_id)
    context = {
        "form": form,
        "membership": membership,
        "roles": [_in_words(role) for role in Role],
        "two_factor": two_factor.is_on(membership.user_id),
        "locked_out": lock_outs.words(locked_until, now=now) if locked_until else "",
    }
    return render(request, "accounts/member.html", context)


@require_POST
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def member_release(request: SignedInRequest, member: str) -> HttpResponseBase:
    """Let a member who is locked out log in again."""
    try:
        membership = lock_outs.release_member(member, by=request.actor, now=timezone.now())
    except Membership.DoesNotExist:
        raise Http404 from None
    messages.success(request, f"{membership.user.email} can log in again.")
    return see_other("accounts:member", organisation=request.organisation.slug, member=member)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def member_remove(request: SignedInRequest, member: str) -> HttpResponseBase:
    """Ask, then end a membership."""
    membership = _membership(request, member)
    refused = ""
    if request.method == "POST":
        try:
            members.remove(member, by=request.actor, now=timezone.now())
        except members.LastAdmin as refusal:
            refused = str(refusal)
        except Membership.DoesNotExist:
            raise Http404 from None
        else:
            messages.success(request, f"{membership.user.email} is no longer a member; their tokens are deleted.")
            return see_other("accounts:members", organisation=request.organisation.slug)
    return render(request, "accounts/member_remove.html", {"membership": membership, "refused": refused})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def invite(request: SignedInRequest) -> HttpResponseBase:
    """Invite somebody by e-mail."""
    form = InviteForm(request.POST or None)
    if form.is_valid():
        email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
        try:
            sent = invitations.invite(email=email, role=role, by=request.actor, now=timezone.now())
        except (members.AlreadyMember, invitations.AlreadyInvited, invitations.TooManyInvitations) as refusal:
            form.add_error("email", str(refusal))
        else:
            return _after_sending(request, sent)
    context = {"form": form, "roles": [_in_words(role) for role in Role]}
    return render(request, "accounts/invite.html", context)


@never_cache
@require_POST
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def invitation_again(request: SignedInRequest, invitation: str) -> HttpResponseBase:
    """Send an invitation again, with a new link."""
    try:
        sent = invitations.send_again(invitation, by=request.actor, now=timezone.now())
    except Invitation.DoesNotExist:
        raise Http404 from None
    except invitations.TooSoon as refusal:
        messages.error(request, str(refusal))
        return see_other("accounts:members", organisation=request.organisation.slug)
    return _after_sending(request, sent)


@require_POST
@organisation_page(permission=Permission.MANAGE_MEMBERS)
def invitation_withdraw(request: SignedInRequest, invitation: str) -> HttpResponseBase:
    """Have an invitation open nothing any more."""
    try:
        withdrawn = invitations.withdraw(invitation, by=request.actor, now=timezone.now())
    except Invitation.DoesNotExist:
        raise Http404 from None
    messages.success(request, f"The invitation of {withdrawn.email} is withdrawn.")
    return see_other("accounts:members", organisation=request.organisation.slug)


def _after_sending(request: SignedInRequest, sent: invitations.Sent) -> HttpResponseBase:
    """Say that the letter is on its way; without an e-mail service show the link, this once."""
    email = sent.invitation.email
    if sent.link:
        return render(request, "accounts/invitation_link.html", {"link": sent.link, "email": email})
    if sent.mailed:
        messages.success(request, f"The invitation is on its way to {email}.")
    else:
        messages.error(request, f"The e-mail to {email} could not be sent. Send the invitation again in a while.")
    return see_other("accounts:members", organisation=request.organisation.slug)


def _invitations(request: SignedInRequest) -> object:
    if not request.actor.may(Permission.MANAGE_MEMBERS):
        return []
    return invitations.open_ones(request.actor).select_related("invited_by")


def _membership(request: SignedInRequest, member: str) -> Membership:
    return get_object_or_404(members.of(request.actor), public_id=member)


def _in_words(role: Role) -> dict[str, object]:
    may = [text for permission, text in DESCRIPTIONS.items() if permission in PERMISSIONS[role]]
    return {"label": role.label, "may": may}
