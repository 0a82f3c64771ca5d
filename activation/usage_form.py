"""What of a destination's usage is looked at: how far back, which names, which token."""

from collections.abc import Iterable, Mapping

from django import forms

from accounts import tokens
from accounts.actors import Actor
from accounts.models import PersonalAccessToken
from activation.models import RedisDestination, Source
from activation.usage import UNKNOWN
from activation.usage_page import RANGES

_ANY = ("", "All")


class UsageForm(forms.Form):
    """Chooses by address; everything may be left out."""

    range = forms.ChoiceField(
        required=False, label="Time", choices=[(name, span.label) for name, span in RANGES.items()]
    )
    entity = forms.ChoiceField(required=False, label="Entity")
    id_type = forms.ChoiceField(required=False, label="Id type")
    token = forms.CharField(required=False, max_length=12, widget=forms.Select)

    def __init__(self, given: Mapping[str, object], *, destination: RedisDestination, by: Actor) -> None:
        super().__init__(given)
        self._tokens = tokens.named(by)
        names = list(Source.objects.filter(destination=destination).values_list("entity", "id_type").distinct())
        for field, position in (("entity", 0), ("id_type", 1)):
            found = sorted({name[position] for name in names} | {UNKNOWN})
            self.fields[field].choices = [_ANY, *((name, name) for name in found)]  # type: ignore[attr-defined]  # a choice

    def clean_token(self) -> PersonalAccessToken | None:
        """Find the token; another's is as unknown to who may not read its name as one that does not exist."""
        public_part = self.cleaned_data["token"]
        if not public_part:
            return None
        found = self._tokens.filter(public_part=public_part).first()
        if found is None:
            raise forms.ValidationError("There is no such token.")
        return found

    def offer(self, used: Iterable[PersonalAccessToken]) -> None:
        """Offer the tokens that were used, and the one that is chosen."""
        chosen = self.cleaned_data.get("token") if self.is_valid() else None
        offered = {token.public_part: token.name for token in (*used, *([chosen] if chosen else ()))}
        self.fields["token"].widget.choices = [_ANY, *offered.items()]
