"""How a Redis is reached, as the API reads and tells it: `settings` and, never told, `credentials`.

Names are the hosted product's, and the forms of the pages judge what was sent.
"""

from collections.abc import Mapping
from typing import Any

from django import forms

from accounts.vault import SecretUnreadable
from activation import destinations
from activation.api import fields
from activation.api.fields import FLAG, TEXT, TEXT_OR_NULL, WHOLE, Kind, Members
from activation.api.problems import FieldsInvalid
from activation.models import RedisDestination
from activation.place_forms import EditForm, stored
from activation.server_form import ServerForm

CREDENTIALS = ServerForm.credentials
_FIXED_FLAGS = EditForm.fixed_flags
_MOVES = "Where the profiles are does not change here. Move the destination on its page."


def _kind(field: forms.Field) -> Kind:
    if isinstance(field, forms.IntegerField):
        return WHOLE
    return FLAG if isinstance(field, forms.BooleanField) else TEXT


SETTINGS: Mapping[str, Kind] = {
    name: _kind(field) for name, field in ServerForm.base_fields.items() if name not in CREDENTIALS
}
MEMBERS: Members = {"settings": SETTINGS, "credentials": dict.fromkeys(CREDENTIALS, TEXT)}
# In a change null takes a secret away.
CHANGES: Members = {"settings": SETTINGS, "credentials": dict.fromkeys(CREDENTIALS, TEXT_OR_NULL)}
PATHS: dict[str, str] = {
    **{name: f"settings.{name}" for name in SETTINGS},
    **{name: f"credentials.{name}" for name in CREDENTIALS},
    "forget": "credentials",
    "public_id": "destinationId",
    "workspace_id": "workspaceId",
}


def new(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings and credentials of a Redis that is not connected yet. Raises `FieldsInvalid`."""
    form = ServerForm({**body.get("settings", {}), **body.get("credentials", {})})
    return fields.judge(form, PATHS).plain()


def changed(destination: RedisDestination, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a destination's settings and credentials with what a body changes; it cannot change the place.

    Raises `FieldsInvalid`.
    """
    given, secrets = body.get("settings", {}), body.get("credentials", {})
    fixed = {name for name in _FIXED_FLAGS if name in given and given[name] != bool(destination.settings.get(name))}
    if fixed:
        raise FieldsInvalid({PATHS[name]: _MOVES for name in sorted(fixed)})
    as_it_is = {"database": 0, **{name: value for name, value in destination.settings.items() if name in SETTINGS}}
    kept = stored(destination)
    forget = [name for name, secret in secrets.items() if secret is None and kept.get("kept", {}).get(name)]
    form = EditForm({**as_it_is, **given, **secrets, "forget": forget}, destination=destination, **kept)
    return fields.judge(form, PATHS).plain()


def told(destination: RedisDestination) -> dict[str, Any]:
    """Tell how a destination is reached, and the names of the secrets that are stored."""
    try:
        secrets = destinations.credentials_of(destination)
    except SecretUnreadable:
        secrets = {}
    return {
        "settings": {name: value for name, value in destination.settings.items() if name in SETTINGS},
        "credentialsSet": [name for name in CREDENTIALS if secrets.get(name)],
    }
