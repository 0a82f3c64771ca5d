"""What people fill in to move a destination to another place, or to change how its place is reached."""

from typing import Any

from django import forms

from accounts.vault import SecretUnreadable
from activation import destinations
from activation.models import RedisDestination
from activation.server_form import ServerForm

_NO_INPUT = {"address", "sentinelService", "sentinelUsername", "username"}


def stored(destination: RedisDestination) -> dict[str, Any]:
    """Return what an `EditForm` needs to use a destination's own secrets where fields are left empty."""
    try:
        secrets = destinations.credentials_of(destination)
    except SecretUnreadable:
        return {}
    given = destination.settings
    return {"kept": {"caCertificate": given.get("caCertificate", ""), **secrets}, "kept_for": given.get("address", "")}


class MoveForm(ServerForm):
    """Where a destination moves to. What is not an address or a name begins as it is at the old place."""

    earlier = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, destination: RedisDestination, **options: Any) -> None:
        as_it_is = {name: value for name, value in destination.settings.items() if name not in _NO_INPUT}
        options["initial"] = options.get("initial") or as_it_is
        super().__init__(*args, **options)
        self.fields["address"].help_text = (
            "The new place: another server, or the same one with another database or another way of storing. "
            "In cluster mode and for sentinels, several separated by commas."
        )
        self.fields[
            "useJSONModule"
        ].help_text = "A JSON document a profile, for a Redis with JSON commands. Without it a profile is a hash."


class EditForm(ServerForm):
    """How a destination's place is reached. Where it is, is shown and cannot be changed."""

    forget = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Remove what is set",
        help_text="A field that is left empty keeps its value; what is ticked here goes.",
    )
    earlier = forms.CharField(required=False, widget=forms.HiddenInput)

    more = (*ServerForm.more, "forget")
    fixed_texts = ("address", "database", "sentinelService")
    fixed_flags = ("clusterMode", "useJSONModule")

    def __init__(self, *args: Any, destination: RedisDestination, **options: Any) -> None:
        as_it_is = {"database": 0, **destination.settings}
        # Where the profiles lie is the destination's, whatever an earlier try or a request says.
        fixed = {name: as_it_is.get(name) for name in (*self.fixed_texts, *self.fixed_flags)}
        options["initial"] = {**as_it_is, **(options.get("initial") or {}), **fixed}
        super().__init__(*args, **options)
        for name in self.fixed_texts:
            self.fields[name].widget.attrs["readonly"] = True
        for name in self.fixed_flags:
            self.fields[name].disabled = True
        self.fields["address"].help_text = "Where the profiles are does not change here: Move brings them elsewhere."
        for name in ("database", "sentinelService", "clusterMode", "useJSONModule"):
            self.fields[name].help_text = "Does not change here either."
        forget = self.fields["forget"]
        assert isinstance(forget, forms.MultipleChoiceField)
        forget.choices = [
            (name, self.fields[name].label or "Password") for name in self.credentials if self.kept.get(name)
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse another place."""
        cleaned = super().clean()
        for name in self.fixed_texts:
            if name in cleaned and (cleaned[name] or "") != (self.initial[name] or ""):
                self.add_error(name, "Where the profiles are does not change here. Use Move to another place.")
        return cleaned

    def _standing_in(self) -> dict[str, str]:
        forgotten = self.cleaned_data.get("forget", ())
        return {name: text for name, text in super()._standing_in().items() if name not in forgotten}

    @property
    def folded(self) -> list[forms.BoundField]:
        """The fields under *More settings*; nothing to remove, nothing to ask."""
        forget = self.fields["forget"]
        assert isinstance(forget, forms.MultipleChoiceField)
        return [field for field in super().folded if field.name != "forget" or forget.choices]


class NameForm(forms.Form):
    """What a destination is called."""

    name = forms.CharField(max_length=100, help_text="Keys in Redis do not hold it, so nothing but pages changes.")
