"""What people fill in to say when a project is synced."""

from datetime import datetime, time
from typing import Any

from django import forms

from activation import timetables
from activation.timetables import AfterProfilesRuns, Basic, Cron, ExpressionRefused, Manual, Timetable

_KINDS = (
    ("profiles", "After each successful Profiles run"),
    ("basic", "Basic: at a fixed interval"),
    ("cron", "CRON: at the times of an expression"),
    ("manual", "Manual: only when somebody presses Sync Now or calls the API"),
)
_BELONGS_TO = {"minutes": "basic", "start": "basic", "expression": "cron"}
_NO_TIME = "Enter a time of day in UTC as hours and minutes, such as 03:30, or leave it empty."


class ScheduleForm(forms.Form):
    """A schedule; `timetable()` returns it once the form is valid."""

    kind = forms.ChoiceField(label="Sync this project", choices=_KINDS, widget=forms.RadioSelect)
    minutes = forms.TypedChoiceField(
        label="Every",
        choices=tuple(timetables.INTERVALS.items()),
        coerce=int,
        help_text="From the beginning of one sync to that of the next.",
        error_messages={"required": "Choose how often."},
    )
    start = forms.TimeField(
        label="Counted from (UTC)",
        required=False,
        input_formats=["%H:%M", "%H:%M:%S"],
        error_messages={"invalid": _NO_TIME},
        help_text="A time of day, such as 03:30. Empty: counted from when you save.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric", "placeholder": "03:30"}),
    )
    expression = forms.CharField(
        label="Expression (UTC)",
        error_messages={"required": "Enter an expression of five fields, such as 30 3 * * 1-5."},
        help_text="Five fields: minute, hour, day of month, month, day of week; at least 5 minutes between any two "
        "times. 30 3 * * 1-5 is 03:30 UTC from Monday to Friday.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, present: Timetable, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": _typed(present), **kwargs})
        self._now = now
        for name, kind in _BELONGS_TO.items():
            self.fields[name].shown_with = f"kind={kind}"  # type: ignore[attr-defined]  # read by `form_field`

    def clean_start(self) -> time | None:
        """Leave the seconds out: times are shown in minutes."""
        start: time | None = self.cleaned_data["start"]
        return start.replace(second=0) if start else None

    def clean(self) -> dict[str, Any]:
        """Check the fields of the chosen kind only; the others are hidden and say nothing."""
        cleaned = super().clean() or self.cleaned_data
        for name, kind in _BELONGS_TO.items():
            if cleaned.get("kind") != kind:
                self.errors.pop(name, None)
        if cleaned.get("kind") == "cron" and "expression" in cleaned:
            try:
                cleaned["cron"] = timetables.cron(cleaned["expression"], now=self._now)
            except ExpressionRefused as refusal:
                self.add_error("expression", str(refusal))
        return cleaned

    def timetable(self) -> Timetable:
        """Return what was chosen."""
        chosen = self.cleaned_data
        match chosen["kind"]:
            case "basic":
                since = self._now.replace(second=0, microsecond=0)
                return Basic(minutes=chosen["minutes"], since=since, start=chosen["start"])
            case "cron":
                cron: Cron = chosen["cron"]
                return cron
            case "manual":
                return Manual()
            case _:
                return AfterProfilesRuns()


def _typed(present: Timetable) -> dict[str, object]:
    """Return what a person would have typed for a schedule."""
    match present:
        case Basic():
            start = f"{present.start:%H:%M}" if present.start else ""
            return {"kind": "basic", "minutes": present.minutes, "start": start}
        case Cron():
            return {"kind": "cron", "minutes": 60, "expression": present.expression}
        case Manual():
            return {"kind": "manual", "minutes": 60}
        case _:
            return {"kind": "profiles", "minutes": 60}
