"""What people type to generate a token, checked and turned into values."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from accounts import roles, token_limits
from accounts.names import NameField
from accounts.roles import Role

NEVER, CUSTOM = "never", "custom"
EXPIRIES = (
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "1 year"),
    (CUSTOM, "On a day of your choice"),
    (NEVER, "Never"),
)


def _lines(label: str, help_text: str) -> forms.CharField:
    look = {"rows": 2, "class": "mono", "spellcheck": "false", "autocomplete": "off"}
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=20_000, widget=forms.Textarea(attrs=look)
    )


class NewTokenForm(forms.Form):
    """A token to generate: its name, a role up to the person's own, and when it ends."""

    name = NameField(
        label="Token name",
        help_text="What will use it, so that you know later which one to delete.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label="Role")
    expiry = forms.ChoiceField(
        label="Expires",
        choices=EXPIRIES,
        initial="90",
        help_text="Calls are refused from then on. You get a letter a week before.",
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        help_text="Only for a day of your choice: the token works until the end of it (UTC).",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    verbs = forms.MultipleChoiceField(
        label="Calls",
        required=False,
        choices=list(token_limits.VERBS.items()),
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all that its role allows.",
    )
    destinations = _lines("Destinations", "Destination IDs, one a line. Empty: all of the organisation.")
    entities = _lines("Entities", "Names such as user, one a line. Empty: all.")
    networks = _lines("Networks", "Where it is used from, one a line, such as 192.0.2.0/24. Empty: anywhere.")
    rate = forms.IntegerField(
        label="Requests per second",
        required=False,
        min_value=1,
        max_value=token_limits.HIGHEST_RATE,
        help_text="In each API process. Empty: no limit.",
    )

    limits = ("verbs", "destinations", "entities", "networks", "rate")

    def __init__(self, *args: Any, own_role: Role, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now
        self.fields["expires_on"].shown_with = f"expiry={CUSTOM}"  # type: ignore[attr-defined]  # read by form_field
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)
        role.choices = [(choice.value, choice.label) for choice in roles.up_to(own_role)]
        role.help_text = "A token never does more than this, nor more than you may at the time it is used. "
        role.help_text += (
            "Calling the Activation API needs Admin."
            if own_role == Role.ADMIN
            else "Calling the Activation API needs Admin, which only Admins can give."
        )

    def clean(self) -> dict[str, Any]:
        """Ask for the day where one was promised, and for one that is still to come."""
        values: dict[str, Any] = self.cleaned_data
        if values.get("expiry") == CUSTOM and "expires_on" in values:
            day: date | None = values["expires_on"]
            if day is None:
                self.add_error("expires_on", "Choose the last day, or another expiry.")
            elif _end_of(day) <= self._now:
                self.add_error("expires_on", "This day is over. Choose a later one.")
        try:
            token_limits.checked(self.given_limits)
        except token_limits.LimitsInvalid as invalid:
            for name, message in invalid.errors.items():
                self.add_error(name, message)
        return values

    @property
    def given_limits(self) -> dict[str, Any]:
        """What the token is to be limited to, as it was typed."""
        return {name: self.cleaned_data[name] for name in self.limits if self.cleaned_data.get(name)}

    @property
    def shown(self) -> list[forms.BoundField]:
        """The fields always shown."""
        return [field for field in self if field.name not in self.limits]

    @property
    def folded(self) -> list[forms.BoundField]:
        """The limits."""
        return [self[name] for name in self.limits]

    @property
    def limits_are_open(self) -> bool:
        """Tell whether the limits must be open: something in them is filled in or wrong."""
        return any(self[name].value() or self[name].errors for name in self.limits)

    @property
    def expires_at(self) -> datetime | None:
        """The moment the token ends at; None is never."""
        expiry: str = self.cleaned_data["expiry"]
        if expiry == NEVER:
            return None
        if expiry == CUSTOM:
            return _end_of(self.cleaned_data["expires_on"])
        return self._now + timedelta(days=int(expiry))


def _end_of(day: date) -> datetime:
    """Return the first moment after `day` in UTC. The last day there is has no day after it and ends a second early."""
    if day == date.max:
        return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=UTC)
