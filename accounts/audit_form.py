"""What people type to look through the audit log."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from accounts.audit_search import LONGEST, Search


def _text(label: str, help_text: str, **attrs: str) -> forms.CharField:
    look = {"autocomplete": "off", "spellcheck": "false", **attrs}
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=LONGEST, widget=forms.TextInput(attrs=look)
    )


class SearchForm(forms.Form):
    """Whose, which, of what, and when; all may be left empty. Days are UTC's."""

    person = _text("Person or token", "Any part of the e-mail address or token name.")
    action = _text("Action", "Such as token deleted.", list="audit_actions")
    target = _text("Target", "Any part of its name or type, or its whole id.")
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        label="To", required=False, help_text="The whole day (UTC).", widget=forms.DateInput(attrs={"type": "date"})
    )

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order."""
        values: dict[str, Any] = self.cleaned_data
        since, until = values.get("since"), values.get("until")
        if since and until and until < since:
            self.add_error("until", "This day is before the first. Swap them.")
        return values

    @property
    def search(self) -> Search:
        """What is looked for."""
        values = self.cleaned_data
        since, until = values.get("since"), values.get("until")
        return Search(
            person=values.get("person", ""),
            action=values.get("action", ""),
            target=values.get("target", ""),
            since=datetime.combine(since, time.min, tzinfo=UTC) if since else None,
            until=_day_after(datetime.combine(until, time.min, tzinfo=UTC)) if until else None,
        )


def _day_after(day: datetime) -> datetime | None:
    """Return the next day; the last there is has none, and nothing happens after it."""
    try:
        return day + timedelta(days=1)
    except OverflowError:
        return None
