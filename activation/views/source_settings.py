"""A source's page *Settings*: what does not count when rows are compared, and how ids are normalised."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from activation import source_settings
from activation.access import source_for
from activation.models import Source
from activation.source_settings_form import SourceSettingsForm


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page()
def show(request: SignedInRequest, source: str) -> HttpResponse:
    """Show and change a source's settings; `?leave_out=<column>` has that column ticked, for a link that offers it."""
    row = source_for(request.actor, source)
    if request.method == "POST":
        request.actor.require(Permission.MANAGE_ACTIVATION)
    form = _form(request, row)
    if form.is_valid():
        changed = source_settings.configure(
            row,
            ignored_columns=form.cleaned_data.get("ignored_columns", []),
            normalisation=form.cleaned_data["normalisation"],
            by=request.actor,
            now=timezone.now(),
        )
        if changed:
            messages.success(request, "The settings are changed. The next sync is a full one.")
        return see_other("activation:source", organisation=request.organisation.slug, source=row.public_id)
    may_change = request.actor.may(Permission.MANAGE_ACTIVATION)
    words = source_settings.ids_words(row)
    context = {"source": row, "form": form, "may_change": may_change, "ids_words": words}
    return render(request, "activation/source_settings.html", context, status=422 if form.errors else 200)


def _form(request: SignedInRequest, source: Source) -> SourceSettingsForm:
    columns = source_settings.columns_to_choose(source)
    if request.method == "POST":
        return SourceSettingsForm(request.POST, columns=columns)
    ticked = {*source.ignored_columns, request.GET.get("leave_out", "")}
    initial = {
        "ignored_columns": [name for name in columns if name in ticked],
        "normalisation": source.normalisation,
    }
    return SourceSettingsForm(initial=initial, columns=columns)
