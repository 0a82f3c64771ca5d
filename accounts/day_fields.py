"""A stretch of days that people look through: the first and the last, both whole and UTC's."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms


class DaysForm(forms.Form):
    """From which day to which; both may be left empty."""

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
    def since_at(self) -> datetime | None:
        """When the first day begins."""
        day = self.cleaned_data.get("since")
        return datetime.combine(day, time.min, tzinfo=UTC) if day else None

    @property
    def until_at(self) -> datetime | None:
        """When the last day is over; the last day there is ends never."""
        day = self.cleaned_data.get("until")
        try:
            return datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=1) if day else None
        except OverflowError:
            return None
