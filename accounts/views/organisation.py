"""An organisation's own pages: its overview, its settings, and another organisation beside it."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts import organisations
from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.forms import NewOrganisationForm, OrganisationForm
from accounts.roles import Permission


@require_safe
@organisation_page()
def overview(request: SignedInRequest) -> HttpResponse:
    """Show where to go from here."""
    return render(request, "accounts/overview.html")


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_ORGANISATION)
def organisation(request: SignedInRequest) -> HttpResponseBase:
    """Show and change what the organisation is called and asks of its members."""
    present = request.organisation
    initial = {"name": present.name, "requires_two_factor": present.requires_two_factor}
    form = OrganisationForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            organisations.change(**form.cleaned_data, by=request.actor, now=timezone.now())
        except organisations.TwoFactorMissing as refusal:
            form.add_error("requires_two_factor", str(refusal))
        else:
            messages.success(request, "The organisation is changed.")
            return see_other("accounts:organisation", organisation=present.slug)
    return render(request, "accounts/organisation.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_ORGANISATION)
def organisation_new(request: SignedInRequest) -> HttpResponseBase:
    """Create another organisation and go there."""
    form = NewOrganisationForm(request.POST or None)
    if form.is_valid():
        name = form.cleaned_data["name"]
        created = organisations.create_another(name=name, by=request.actor, now=timezone.now())
        messages.success(request, f"{created.name} is created. You are its first Admin.")
        return see_other("accounts:overview", organisation=created.slug)
    return render(request, "accounts/organisation_new.html", {"form": form})
