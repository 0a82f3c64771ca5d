"""A page with every piece of the design system in every state, for who works on it (`STYLEGUIDE=1`).

It is made of the very templates and styles that the pages use, so it cannot fall behind them; a piece that is not on it
fails a test.
"""

from datetime import UTC, datetime, timedelta

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import open_page
from accounts.charts import LOOKS, Chart, Series, Table
from accounts.lists import Listing
from accounts.templatetags.components import STATES, Sample
from projects.differences import Change

_LONG = "a_feature_view_whose_name_somebody_chose_to_be_as_long_as_the_warehouse_lets_it_be_by_email"
_STEPS = (
    ("Name resolution", "passed", "redis.example.com is 203.0.113.7.", ""),
    ("TCP", "passed", "redis.example.com:6379 accepts connections.", ""),
    ("TLS", "skipped", "Secure is off.", ""),
    ("AUTH", "failed", "Redis refused the user or the password.", "Check the password and type it again."),
    ("Cluster and role", "running", "", ""),
    ("Scripts", "not_reached", "", ""),
)
_CODE = "curl -s https://activation.example/v2/activation \\\n  -H 'Authorization: Bearer $TOKEN'"
_DIFF = (
    "--- before\n+++ after\n@@ -1,3 +1,3 @@\n entities:\n   - name: user\n"
    "-    id_types: [email]\n+    id_types: [email, user_id]"
)
_HITS = [900, 1_400, 1_200, 0, 700, 1_100, 1_300, 600]
_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_CHANGES = (
    Change("added", "Feature view features_by_user_id", "of the entity user"),
    Change("changed", "Connection", "analytics → analytics_eu"),
    Change("removed", _LONG),
)


def _charts() -> list[Chart]:
    table = Table(["Hour from", "Hits"], [(_NOON, ["900"]), ("24 Nov", ["7,200"])])
    ends = _NOON + timedelta(hours=len(_HITS))
    stacked = [
        Series("Hits", "ok", _HITS),
        Series("Working", "working", [200] * 8),
        Series("Attention", "attention", [150] * 8),
        Series("Misses", "neutral", [100] * 8),
        Series("Ink", "ink", [50] * 8),
        Series("Errors", "failed", [60] * 8),
    ]
    lines = [
        Series(look, look, [None if value == 0 else value / (at + 1) for value in _HITS])
        for at, look in enumerate(LOOKS)
    ]
    return [
        Chart("Stacked", stacked, _NOON, ends, "{:,.0f}".format, table, note="A note below.", stacked=True),
        Chart("Lines", lines, _NOON, ends, "{:,.0f} ms".format, table, by_days=True),
    ]


class _Form(forms.Form):
    address = forms.CharField(label="Address", help_text="Host and port, e.g. redis.example.com:6379.")
    password = forms.CharField(label="Password", required=False, widget=forms.PasswordInput)
    role = forms.ChoiceField(label="Role", choices=[("viewer", "Viewer"), ("editor", "Editor"), ("admin", "Admin")])
    secure = forms.BooleanField(label="Secure", required=False, help_text="Speak TLS.")
    schedule = forms.ChoiceField(
        label="When", choices=[("runs", "After each Profiles run"), ("manual", "By hand")], widget=forms.RadioSelect
    )
    text = forms.CharField(label="Text of pb_project.yaml", required=False, widget=forms.Textarea)


@require_safe
@open_page
def show(request: HttpRequest) -> HttpResponse:
    """Show every piece."""
    now = timezone.now()
    messages.info(request, "A flash message that says what happened.")
    stored = _Form()
    stored.fields["password"].stored = True  # type: ignore[attr-defined]  # read by the form_field piece
    context = {
        "states": STATES,
        "steps": [dict(zip(("name", "state", "message", "cure"), step, strict=True)) for step in _STEPS],
        "form": stored,
        "wrong": _Form({"address": "", "role": "admin", "schedule": "runs"}),
        "code": _CODE,
        "samples": [Sample("curl", "bash", _CODE), Sample("Python", "python", "print('hello')")],
        "facts": [("Destination", _LONG), ("Sync", True), ("Last good sync", now), ("Note", None)],
        "times": [now, now - timedelta(minutes=4), now + timedelta(hours=3), now - timedelta(days=40), None],
        "long": _LONG,
        "diff": _DIFF,
        "changes": _CHANGES,
        "listing": Listing(Paginator(range(230), 50).page(2), query="", searchable=True),
        "charts": _charts(),
        "course": _HITS,
        "public_id": "2abcDEF0123456789abcdefghXYZ",
    }
    return render(request, "styleguide.html", context)
