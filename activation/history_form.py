"""What people choose to look through a project's time line."""

from typing import Any

from django import forms

from accounts.day_fields import DaysForm
from activation.history import STATES, Search
from activation.models import Source, SyncRun
from projects.models import ProfilesRun, Project, RunOrigin

_KINDS = (("", "Everything"), ("profiles", "Profiles runs"), ("syncs", "Syncs"))
_ANY = ("", "Any")


class HistoryForm(DaysForm):
    """Which runs, of which view, how they ended, why they began, and when; all may be left empty."""

    kind = forms.ChoiceField(label="Show", required=False, choices=_KINDS)
    state = forms.ChoiceField(
        label="State", required=False, choices=[_ANY, *((name, words) for name, (words, *_) in STATES.items())]
    )
    view = forms.ChoiceField(label="Feature view", required=False)
    trigger = forms.ChoiceField(
        label="Why it began",
        required=False,
        choices=[
            _ANY,
            ("Syncs", [(f"sync:{trigger.value}", trigger.label) for trigger in SyncRun.Trigger]),
            ("Profiles runs", [(f"profiles:{origin.value}", origin.label) for origin in RunOrigin]),
        ],
    )
    run = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    field_order = ("kind", "state", "view", "trigger", "since", "until", "run")

    def __init__(self, *args: Any, project: Project, sources: list[Source], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._project = project
        self._sources = {source.public_id: source for source in sources}
        field = self.fields["view"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [_ANY, *((source.public_id, str(source)) for source in sources)]

    def clean_run(self) -> ProfilesRun | None:
        """Return the Profiles run of the project that an address names."""
        public_id = self.cleaned_data["run"]
        if not public_id:
            return None
        found = self._project.runs.filter(public_id=public_id).first() if public_id.isalnum() else None
        if found is None:
            raise forms.ValidationError("This Profiles run is not known any more.")
        return found

    @property
    def search(self) -> Search:
        """What is looked for."""
        values = self.cleaned_data
        of, _, trigger = values["trigger"].partition(":")
        return Search(
            kind=values["kind"],
            state=values["state"],
            source=self._sources.get(values["view"]),
            trigger=trigger if of == "sync" else "",
            origin=trigger if of == "profiles" else "",
            run=values["run"],
            since=self.since_at,
            until=self.until_at,
        )
