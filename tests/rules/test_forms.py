"""Every field that somebody fills in answers the question a newcomer has."""

import importlib
import pkgutil

import pytest
from django import forms

import accounts
import activation
import projects

# They look through what there is and change nothing; their labels and choices say it all.
SEARCHES = {"DaysForm", "SearchForm", "HistoryForm", "UsageForm"}
# Fields whose page or choices are the help, and those that are told what to say when they are made.
SAID_ELSEWHERE = {
    ("InviteForm", "role"): "what each role may do stands below it",
    ("RoleForm", "role"): "what each role may do stands below it",
    ("ChoiceForm", "choice"): "its choices are sentences",
    ("PolicyForm", "policy"): "its choices are sentences",
    ("ScheduleForm", "kind"): "its choices are sentences",
    ("SyncLogForm", "content"): "its choices are sentences",
    ("LookUpForm", "filter"): "drawn by the answer, under a label of its own",
    ("DeleteForm", "filter"): "hidden, so that it comes back with the answer",
    ("NewTokenForm", "role"): "told when it is made, since it depends on the person",
    ("TrialForm", "source"): "told when it is made, with its choices",
}


def _forms() -> list[type[forms.BaseForm]]:
    """List the forms of our own; allauth's get their labels and help when they are made."""
    names = [
        module.name
        for package in (accounts, activation, projects)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if module.name.endswith(("form", "forms", "fields"))
    ]
    found = {
        thing
        for name in names
        for thing in vars(importlib.import_module(name)).values()
        if isinstance(thing, type) and issubclass(thing, forms.BaseForm) and thing.__module__ in names
    }
    return sorted(
        (form for form in found if not any(base.__module__.startswith("allauth") for base in form.__mro__)),
        key=lambda form: (form.__module__, form.__name__),
    )


FORMS = _forms()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.__module__}.{form.__name__}")
def test_every_field_has_help(form: type[forms.BaseForm]) -> None:
    fields: dict[str, forms.Field] = getattr(form, "base_fields", {})
    silent = [
        name
        for name, field in fields.items()
        if not field.help_text and not field.widget.is_hidden and (form.__name__, name) not in SAID_ELSEWHERE
    ]
    assert form.__name__ in SEARCHES or silent == []


def test_the_forms_are_found() -> None:
    assert len(FORMS) > 30
    named = {(form.__name__, name) for form in FORMS for name in getattr(form, "base_fields", {})}
    assert SAID_ELSEWHERE.keys() <= named
