"""What people fill in to look a profile up."""

from collections.abc import Sequence
from typing import Any

from django import forms

MOST_ID_BYTES = 1024  # as at the API


class LookUpForm(forms.Form):
    """An id as applications send it, and its type unless that is to be found out."""

    id_type = forms.ChoiceField(
        label="Id type", required=False, help_text="Detect it looks under every type that is served."
    )
    value = forms.CharField(
        strip=False,
        max_length=MOST_ID_BYTES,
        label="Id",
        help_text="As applications send it: letter case and blanks count.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    filter = forms.CharField(required=False, max_length=100)

    def __init__(self, *args: Any, served: Sequence[str], declared: Sequence[str], **options: Any) -> None:
        """Offer the id types that are served, then those that the project only declares."""
        super().__init__(*args, **options)
        others = [(name, f"{name} (not served)") for name in declared if name not in served]
        field = self.fields["id_type"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Detect it"), *((name, name) for name in served), *others]

    def clean_value(self) -> str:
        """Refuse what the API would refuse."""
        value: str = self.cleaned_data["value"]
        if not value.strip():
            raise forms.ValidationError("Enter an id.")
        if len(value.encode()) > MOST_ID_BYTES:
            raise forms.ValidationError(f"An id has at most {MOST_ID_BYTES:,} bytes.")
        return value


class DeleteForm(LookUpForm):
    """A profile that was looked up, and whether the same person's other ids are to go too."""

    cascade = forms.BooleanField(
        required=False,
        label="Also delete the same person's other ids",
        help_text="They are found in the warehouse by the main id, which takes a worker some seconds.",
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        """Show nothing of the id but what goes with it."""
        super().__init__(*args, **options)
        for name in ("id_type", "value"):
            self.fields[name].widget = forms.HiddenInput()
        self.fields["id_type"].required = True
