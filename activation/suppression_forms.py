"""What people fill in about profiles that were deleted through the API."""

from typing import Any

from django import forms

from activation.models import DeletedProfilesPolicy, RedisDestination, Source

_ID_LENGTH = 1024  # as at the API
_PLAIN = {"autocomplete": "off", "spellcheck": "false"}
_MEANINGS = (
    (
        DeletedProfilesPolicy.STAY_DELETED.value,
        "Stay deleted: no sync writes them again, until an Admin lifts the suppression",
    ),
    (DeletedProfilesPolicy.MAY_RETURN.value, "May return: the next sync writes who is still in the view"),
)


class LookUpForm(forms.Form):
    """A profile, by the id that applications send."""

    entity = forms.CharField(
        max_length=100,
        help_text="As pb_project.yaml names it, such as user.",
        widget=forms.TextInput(attrs={**_PLAIN, "list": "entities"}),
    )
    id_type = forms.CharField(
        max_length=100,
        label="Id type",
        help_text="As pb_project.yaml names it, such as email.",
        widget=forms.TextInput(attrs={**_PLAIN, "list": "id-types"}),
    )
    value = forms.CharField(
        max_length=_ID_LENGTH,
        strip=False,
        label="Id",
        help_text="As applications send it; blanks around it count.",
        widget=forms.TextInput(attrs=_PLAIN),
    )

    def __init__(self, *args: Any, destination: RedisDestination, **options: Any) -> None:
        sources = Source.objects.filter(destination=destination).order_by("status", "pk")
        named = list(sources.values_list("entity", "id_type"))
        first = dict(zip(("entity", "id_type"), named[0], strict=True)) if named else {}
        super().__init__(*args, **{"initial": first, **options})
        self.entities = sorted({entity for entity, _ in named})
        self.id_types = sorted({id_type for _, id_type in named})


class PolicyForm(forms.Form):
    """What becomes of profiles that are deleted through the API."""

    policy = forms.ChoiceField(
        label="Profiles that are deleted through the API", choices=_MEANINGS, widget=forms.RadioSelect
    )
