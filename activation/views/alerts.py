"""A project's page *Alerts*: who is told about its syncs, by e-mail and by webhook, and what was sent."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import SignedInRequest, see_other
from accounts.roles import Permission
from activation import alerts
from activation.alert_forms import AlertForm, WebhookForm, initial_of
from activation.alerts import NobodyToTell, TooManyTests
from activation.models import Activation, AlertDelivery, AlertSettings
from activation.views import waking
from projects.models import Project
from projects.pages import project_page

_ANY = ["GET", "HEAD", "POST"]
_SHOWN = 10


@require_http_methods(_ANY)
@project_page(permission=Permission.MANAGE_ALERTS)
def show(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Show who is told about what, and change it."""
    activation = _activation(project)
    if activation is None:
        return render(request, "activation/alerts.html", {"project": project})
    row = alerts.of(activation)
    form = AlertForm(
        request.POST if request.method == "POST" else None, initial=initial_of(row), organisation=request.organisation
    )
    if form.is_valid():
        alerts.change(activation, form.wanted(), by=request.actor, now=timezone.now())
        messages.success(request, "The alerts are changed.")
        return _back(request, project)
    return _page(request, project, activation, form=form)


@never_cache
@require_http_methods(_ANY)
@project_page(permission=Permission.MANAGE_ALERTS)
def webhook(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Set the webhook. A new one's answer is the only page that shows its secret."""
    activation = _activation(project)
    if activation is None or request.method != "POST":
        return _back(request, project)
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return _page(request, project, activation, webhook_form=form)
    secret = alerts.set_webhook(activation, form.cleaned_data["url"], by=request.actor, now=timezone.now())
    if secret is not None:
        return _shown_once(request, project, secret)
    messages.success(request, "The webhook is changed." if form.cleaned_data["url"] else "The webhook is removed.")
    return _back(request, project)


@never_cache
@require_POST
@project_page(permission=Permission.MANAGE_ALERTS)
def secret(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Make a new secret; the answer is the only page that shows it."""
    try:
        made = alerts.rotate(project, by=request.actor, now=timezone.now())
    except NobodyToTell:
        return _back(request, project)
    return _shown_once(request, project, made)


@require_POST
@project_page(permission=Permission.MANAGE_ALERTS)
def test(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """Send a test to everyone who is told."""
    try:
        alerts.send_test(project, by=request.actor, now=timezone.now())
    except (TooManyTests, NobodyToTell) as refusal:
        messages.error(request, str(refusal))
    else:
        waking.for_alerts()
        messages.info(request, "A test is on its way. How it went is shown below in a moment.")
    return _back(request, project)


def _activation(project: Project) -> Activation | None:
    return Activation.objects.filter(project=project).select_related("project__organisation").first()


def _back(request: SignedInRequest, project: Project) -> HttpResponseBase:
    return see_other("activation:alerts", organisation=request.organisation.slug, project=project.slug)


def _page(
    request: SignedInRequest,
    project: Project,
    activation: Activation,
    *,
    form: AlertForm | None = None,
    webhook_form: WebhookForm | None = None,
) -> HttpResponse:
    row = alerts.of(activation)
    context: dict[str, Any] = {
        "project": project,
        "activation": activation,
        "alerts": row,
        "form": form or AlertForm(initial=initial_of(row), organisation=request.organisation),
        "webhook_form": webhook_form or WebhookForm(initial={"url": row.webhook_url if row else ""}),
        "sends_email": settings.SENDS_EMAIL,
        **_sent(row),
    }
    return render(request, "activation/alerts.html", context)


def _sent(row: AlertSettings | None) -> dict[str, Any]:
    if row is None:
        return {"deliveries": []}
    newest = row.deliveries.order_by("-created_at", "-pk")
    # Asked before the list is read: one that is sent in between is shown once more, and not as queued for ever.
    waiting = newest.filter(state=AlertDelivery.State.QUEUED, trouble="").exists()
    return {"deliveries": list(newest[:_SHOWN]), "waiting": waiting}


def _shown_once(request: SignedInRequest, project: Project, made: str) -> HttpResponse:
    return render(request, "activation/alert_secret.html", {"project": project, "secret_text": made})
