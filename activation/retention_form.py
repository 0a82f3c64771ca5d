"""What an Admin chooses about snapshots."""

from django import forms

from activation.retention import FEWEST, MOST


class RetentionForm(forms.Form):
    """How many snapshots are kept."""

    keep = forms.IntegerField(
        label="Snapshots kept for each source",
        min_value=FEWEST,
        max_value=MOST,
        localize=False,
        help_text="The newest is what the next sync compares with, so at least one is kept.",
    )
