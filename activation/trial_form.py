"""What a person fills in to try a call to the API."""

from functools import cached_property
from typing import Any

from django import forms

from activation.models import RedisDestination, Source

_ID_LENGTH = 1024  # as at the API


class TrialForm(forms.Form):
    """Whose profile to ask for: an id type that the destination serves, and an id of it."""

    source = forms.ChoiceField(label="Id type")
    value = forms.CharField(
        max_length=_ID_LENGTH,
        strip=False,
        label="Id",
        help_text="As applications send it; blanks around it count.",
        error_messages={"required": "Type an id, or press Use a sample id."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, destination: RedisDestination, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wants_sample = "sample" in self.data
        self._destination = destination
        served = Source.objects.filter(destination=destination).exclude(status=Source.Status.REMOVED)
        groups: dict[str, dict[str, str]] = {}
        for entity, id_type, public_id in served.order_by("-base_rows", "pk").values_list(
            "entity", "id_type", "public_id"
        ):
            groups.setdefault(entity, {}).setdefault(id_type, public_id)
        self.serves = bool(groups)
        field = self.fields["source"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (entity, [(public_id, id_type) for id_type, public_id in types.items()]) for entity, types in groups.items()
        ]
        field.help_text = "The id types that this destination serves, by entity."

    @cached_property
    def chosen(self) -> Source:
        """The source that serves the chosen id type; only of a form that is valid."""
        public_id: str = self.cleaned_data["source"]
        sources = Source.objects.select_related("destination").filter(destination=self._destination)
        return sources.get(public_id=public_id)

    def full_clean(self) -> None:
        """Check what was typed. A sample needs no id; the field goes on asking for one."""
        self.fields["value"].required = not self.wants_sample
        super().full_clean()
        self.fields["value"].required = True

    def with_value(self, value: str) -> "TrialForm":
        """Return the form as it would be had this id been typed."""
        typed = {"source": self.cleaned_data["source"], "value": value}
        filled = type(self)(typed, destination=self.chosen.destination)
        filled.full_clean()
        return filled
