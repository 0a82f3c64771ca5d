"""What people fill in to turn the sync on: a Redis of theirs, or one of the organisation's.

An earlier try's secrets are kept encrypted and stand in for fields left empty.
"""

from collections.abc import Sequence
from typing import Any

from django import forms

from activation.destinations import possible_id
from activation.models import RedisDestination, Source
from activation.server_form import ServerForm
from projects.models import Project

_ID_RULE = "An id has 1 to 100 characters and no blanks or colons."
_NAME_LENGTH = 100
_NAMED = 5


class ConnectForm(ServerForm):
    """Connects a new Redis, under a name and, where its data is adopted, under ids that exist."""

    name = forms.CharField(
        required=False,
        max_length=_NAME_LENGTH,
        help_text="What it is called here. Empty for a suggestion.",
    )
    workspace_id = forms.CharField(
        required=False,
        max_length=100,
        label="Existing workspace ID",
        help_text="To adopt profiles that are in this Redis already: the first part of their keys.",
    )
    public_id = forms.CharField(
        required=False, max_length=100, label="Existing destination ID", help_text="The second part of their keys."
    )
    earlier = forms.CharField(required=False, widget=forms.HiddenInput)

    more = (*ServerForm.more, "name", "workspace_id", "public_id")

    def __init__(self, *args: Any, project: Project, **options: Any) -> None:
        super().__init__(*args, **options)
        self.project = project

    def clean_name(self) -> str:
        """Take the typed name, or the first free one made from the project's."""
        name = str(self.cleaned_data["name"]).strip()
        taken = set(
            RedisDestination.objects.filter(organisation=self.project.organisation).values_list("name", flat=True)
        )
        if name in taken:
            raise forms.ValidationError(f"Your organisation already has a destination called {name}.")
        return name or _first_free(f"{self.project.name} Redis", taken)

    def clean_workspace_id(self) -> str:
        """Refuse what no key could begin with."""
        return _adoptable(self.cleaned_data["workspace_id"])

    def clean_public_id(self) -> str:
        """Refuse what no key could hold, and an id the organisation has already."""
        public_id = _adoptable(self.cleaned_data["public_id"])
        present = RedisDestination.objects.filter(organisation=self.project.organisation, public_id=public_id)
        if public_id and present.exists():
            raise forms.ValidationError("Your organisation already has a destination with this id.")
        return public_id

    def adopted(self) -> dict[str, str]:
        """Return the ids of data to adopt, those that were given."""
        return {name: self.cleaned_data[name] for name in ("public_id", "workspace_id") if self.cleaned_data[name]}


class ExistingForm(forms.Form):
    """Chooses a destination that the organisation has already."""

    destination = forms.ModelChoiceField(
        queryset=RedisDestination.objects.none(),
        empty_label=None,
        to_field_name="public_id",
        help_text="Other projects may use it, too. A feature view of one name is synced by one of them only.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["destination"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = RedisDestination.objects.filter(organisation=project.organisation).order_by("name")


class PaceForm(forms.Form):
    """Limits how fast syncs write into a destination."""

    rows_per_second = forms.IntegerField(
        required=False,
        min_value=100,
        max_value=10_000_000,
        localize=False,
        label="Rows per second",
        help_text=(
            "All syncs into this destination together write no faster. Empty: as fast as Redis takes them. "
            "It holds for partitions that begin from now on."
        ),
    )


class DisableForm(forms.Form):
    """Asks what becomes of the profiles when the sync is turned off."""

    remove = forms.BooleanField(
        required=False,
        label="Also remove the profiles from Redis",
        help_text=(
            "Removes exactly what this project's syncs wrote. Applications get empty profiles from then on. "
            "Without it the profiles stay and go on being served as they are, getting older."
        ),
    )


class LeaveForm(forms.Form):
    """Asks whether what others wrote into the same Redis is left there as well."""

    others = forms.BooleanField(required=False, help_text="Each of them is named here.")

    def __init__(self, *args: Any, others: Sequence[Source], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not others:
            del self.fields["others"]
            return
        field = self.fields["others"]
        field.label = f"Also leave the other {len(others):,} that cannot be removed from this Redis"
        if len(others) == 1:
            field.label = "Also leave the other one that cannot be removed from this Redis"
        named = ", ".join(map(str, others[:_NAMED]))
        field.help_text = f"{named} and {len(others) - _NAMED:,} more." if len(others) > _NAMED else f"{named}."


def _adoptable(text: str) -> str:
    if text and not possible_id(text):
        raise forms.ValidationError(_ID_RULE)
    return text


def _first_free(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name} {number}" for number in range(2, len(taken) + 3)))
    return next(short for each in candidates if (short := each[-_NAME_LENGTH:].strip()) not in taken)
