"""What an Admin chooses about the sync log."""

from django import forms

from activation.models import SyncLogContent
from activation.sync_log import LONGEST_KEPT


class SyncLogForm(forms.Form):
    """What is logged, and for how long."""

    content = forms.ChoiceField(label="Log", choices=SyncLogContent, widget=forms.RadioSelect)
    days = forms.IntegerField(
        label="Keep for (days)",
        min_value=1,
        max_value=LONGEST_KEPT,
        localize=False,
        help_text="Older rows are deleted once a day, when a sync ends.",
    )
