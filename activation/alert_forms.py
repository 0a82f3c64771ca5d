"""What an Admin fills in about alerts."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.models import Membership, Organisation
from activation import webhooks
from activation.alerts import EVENTS, MOST_ADDRESSES, Wanted
from activation.models import AlertSettings
from activation.webhooks import WebhookInvalid

_EVENT_WORDS = {
    "failed": "A sync failed",
    "needs_confirmation": "A sync needs confirmation, because it would delete too many profiles",
    "stale": "A source is out of date",
    "hit_rate": "Applications find far fewer profiles than the day before",
    "recovered": "A problem is gone",
}
_LONGEST_DELAY = 24 * 31


class AlertForm(forms.Form):
    """Who is told about what."""

    members = forms.MultipleChoiceField(
        required=False,
        label="Members",
        widget=forms.CheckboxSelectMultiple,
        help_text="Told as long as they are members.",
    )
    addresses = forms.CharField(
        required=False,
        max_length=6000,
        label="Other addresses",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "off"}),
        help_text="One a line, e.g. that of an on-call list.",
    )
    events = forms.MultipleChoiceField(
        required=False,
        choices=[(event, _EVENT_WORDS[event]) for event in EVENTS],
        label="Tell when",
        widget=forms.CheckboxSelectMultiple,
        help_text="Each problem is told once, and again once a day while it lasts.",
    )
    stale_hours = forms.IntegerField(
        min_value=1,
        max_value=_LONGEST_DELAY,
        localize=False,
        label="Out of date after (hours)",
        help_text="How late a sync may be that was due, after a Profiles run or by the schedule.",
    )

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = self.fields["members"]
        assert isinstance(members, forms.MultipleChoiceField)
        present = Membership.objects.filter(organisation=organisation).order_by("user__email")
        members.choices = [(str(pk), email) for pk, email in present.values_list("pk", "user__email")]

    def clean_addresses(self) -> tuple[str, ...]:
        """Check each address, and how many there are."""
        found = tuple(dict.fromkeys(self.cleaned_data["addresses"].replace(",", "\n").split()))
        for address in found:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(f"“{address[:100]}” is not an e-mail address.") from None
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(f"At most {MOST_ADDRESSES} addresses; use a list's address for more.")
        return found

    def wanted(self) -> Wanted:
        """Return what was filled in."""
        given = self.cleaned_data
        return Wanted(
            members=tuple(int(pk) for pk in given["members"]),
            addresses=given["addresses"],
            events=frozenset(given["events"]),
            stale_hours=given["stale_hours"],
        )


class WebhookForm(forms.Form):
    """Where alerts are posted to."""

    url = forms.CharField(
        required=False,
        label="Webhook URL",
        max_length=webhooks.LONGEST_URL,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}),
        help_text="Each alert is posted here as JSON, signed. Empty for none.",
    )

    def clean_url(self) -> str:
        """Refuse what is not a usable URL; where it leads is judged when it is used."""
        url = str(self.cleaned_data["url"])
        if url:
            try:
                webhooks.parse(url, allow_http=settings.ALLOW_PRIVATE_ADDRESSES)
            except WebhookInvalid as error:
                raise ValidationError(str(error)) from None
        return url


def initial_of(row: AlertSettings | None) -> dict[str, Any]:
    """Return what the form shows of alerts that are set up, or offers at first."""
    if row is None:
        return {"events": list(EVENTS), "stale_hours": 24}
    return {
        "members": [str(pk) for pk in row.members.values_list("pk", flat=True)],
        "addresses": "\n".join(row.addresses),
        "events": [event for event in EVENTS if getattr(row, f"on_{event}")],
        "stale_hours": row.stale_hours,
    }
