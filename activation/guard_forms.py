"""What an Admin decides about the guard."""

from django import forms

from activation.models import GuardChoice

_CHOICES = (
    (GuardChoice.KEEP.value, "Apply the sync without deletes: what is not in the view any more goes on being served"),
    (GuardChoice.DELETE.value, "Apply the deletes: the profiles leave Redis"),
)
_MOST_ROWS = 1_000_000_000


class ChoiceForm(forms.Form):
    """What to do about a sync that would delete too much."""

    choice = forms.ChoiceField(
        label="What to do",
        choices=_CHOICES,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what to do."},
    )


class LimitsForm(forms.Form):
    """How much a sync may delete without asking."""

    percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        localize=False,
        label="Percent of the profiles",
        help_text="A sync that would delete a larger share stops and asks. 0: every sync that deletes more than below.",
    )
    rows = forms.IntegerField(
        min_value=1,
        max_value=_MOST_ROWS,
        localize=False,
        label="But at least so many profiles",
        help_text="Fewer are deleted without asking whatever their share is.",
    )
