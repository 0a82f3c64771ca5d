"""What people type to look through the audit log."""

from django import forms

from accounts.audit_search import LONGEST, Search
from accounts.day_fields import DaysForm


def _text(label: str, help_text: str, **attrs: str) -> forms.CharField:
    look = {"autocomplete": "off", "spellcheck": "false", **attrs}
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=LONGEST, widget=forms.TextInput(attrs=look)
    )


class SearchForm(DaysForm):
    """Whose, which, of what, and when; all may be left empty. Days are UTC's."""

    person = _text("Person or token", "Any part of the e-mail address or token name.")
    action = _text("Action", "Such as token deleted.", list="audit_actions")
    target = _text("Target", "Any part of its name or type, or its whole id.")
    field_order = ("person", "action", "target", "since", "until")

    @property
    def search(self) -> Search:
        """What is looked for."""
        values = self.cleaned_data
        return Search(
            person=values.get("person", ""),
            action=values.get("action", ""),
            target=values.get("target", ""),
            since=self.since_at,
            until=self.until_at,
        )
