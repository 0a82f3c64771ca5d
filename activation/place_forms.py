"""What people fill in to move a destination to another place, or to change how its place is reached."""

from typing import Any

from django import forms

from activation.models import RedisDestination
from activation.server_form import ServerForm

_NO_INPUT = {"address", "sentinelService", "sentinelUsername", "username"}


class MoveForm(ServerForm):
    """Where a destination moves to. What is not an address or a name begins as it is at the old place."""

    earlier = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, destination: RedisDestination, **options: Any) -> None:
        as_it_is = {name: value for name, value in destination.settings.items() if name not in _NO_INPUT}
        options["initial"] = options.get("initial") or as_it_is
        super().__init__(*args, **options)
        self.fields["address"].help_text = (
            "The new place: another server, or the same one with another database or another way of storing. "
            "In cluster mode and for sentinels, several separated by commas."
        )
        self.fields[
            "useJSONModule"
        ].help_text = "A JSON document a profile, for a Redis with JSON commands. Without it a profile is a hash."
