"""Redis destinations: connect one, change how it is reached, delete it, and tell how to reach it.

Public id and workspace id are part of every key in the customer's Redis, so they never change after creation; where
the data lies (address, database, JSON module) is not changed here either. Secrets are stored encrypted, decrypted
only on the way into `RedisSettings`, and never part of an audit row.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from accounts import audit, vault
from accounts.actors import Actor
from accounts.models import Organisation
from accounts.roles import Permission
from activation.engine import profiles
from activation.engine.loader import Bookkeeping, Loader
from activation.engine.redis_settings import RedisSettings, SettingsInvalid
from activation.models import DestinationMove, RedisDestination, Source
from projects import own_servers

_NAME_LENGTH = 100
_SAY_WHERE = ("address", "sentinelService", "database", "clusterMode", "useJSONModule")


class DestinationInvalid(Exception):
    """A destination cannot be like this. `errors` maps the input at fault to what is wrong with it."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


class DestinationInUse(Exception):
    """Projects still sync to the destination."""

    def __init__(self, destination: RedisDestination) -> None:
        super().__init__(
            f"{destination.name} is still used. Turn the sync of its projects off and have their profiles removed, and "
            "let a move end; then delete it."
        )


@transaction.atomic
def create(
    *,
    organisation: Organisation | None = None,
    name: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    public_id: str | None = None,
    workspace_id: str | None = None,
    by: Actor,
    now: datetime,
) -> RedisDestination:
    """Connect a Redis for the actor's organisation.

    `public_id` and `workspace_id` are given to adopt data that already is there under these ids.

    `settings` and `credentials` are named as in the hosted product; the password belongs into `credentials`.
    Raises `PermissionRefused`, `DestinationInvalid`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    adopted = {name: text for name, text in (("public_id", public_id), ("workspace_id", workspace_id)) if text}
    organisation = organisation or by.organisation
    verify_new(organisation=organisation, name=name, settings=settings, credentials=credentials, adopted=adopted)
    destination = RedisDestination(
        organisation=organisation,
        name=name.strip(),
        settings=dict(settings),
        credentials=vault.encrypt(json.dumps(dict(credentials))),
        created_at=now,
        **{"workspace_id": organisation.public_id, **adopted},
    )
    try:
        with transaction.atomic():
            destination.save(force_insert=True)
    except IntegrityError:  # somebody took the name or the id since they were looked for
        raise DestinationInvalid(_taken(destination.name)) from None
    details: dict[str, object] = {"settings": dict(settings), "workspace_id": destination.workspace_id, **adopted}
    record("destination_created", destination, by=by, now=now, details=details)
    return destination


def verify_new(
    *,
    organisation: Organisation,
    name: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    adopted: Mapping[str, str],
) -> None:
    """Check what can be seen without a connection. `adopted` holds `public_id` and `workspace_id`, where given.

    Raises `DestinationInvalid` with every problem by field.
    """
    errors = {
        **_name_errors(organisation, name.strip()),
        **settings_errors(settings, credentials),
        **_id_errors(organisation, adopted),
    }
    if errors:
        raise DestinationInvalid(errors)


def verify_adopted(*, organisation: Organisation, adopted: Mapping[str, str]) -> None:
    """Check ids of data that is in Redis already, as `verify_new` does. Raises `DestinationInvalid`."""
    errors = _id_errors(organisation, adopted)
    if errors:
        raise DestinationInvalid(errors)


@transaction.atomic
def update_credentials(
    destination: RedisDestination,
    *,
    credentials: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    by: Actor,
    now: datetime,
) -> None:
    """Replace the secrets, and with `settings` how the server is reached; every process reconnects within a second.

    Raises `PermissionRefused`, `DestinationInvalid` (also for a change of where the data lies).
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    # As it is now: it may have switched to another place since the caller read it.
    destination.refresh_from_db(from_queryset=RedisDestination.objects.select_for_update(no_key=True))
    wanted = destination.settings if settings is None else dict(settings)
    errors = settings_errors(wanted, credentials)
    if errors:
        raise DestinationInvalid(errors)
    if not same_place(destination.settings, wanted):
        raise DestinationInvalid({"address": "Where the profiles lie is not changed here. Use Move instead."})
    RedisDestination.objects.filter(pk=destination.pk).update(
        settings=wanted, credentials=vault.encrypt(json.dumps(dict(credentials))), version=F("version") + 1
    )
    destination.refresh_from_db()
    record("destination_changed", destination, by=by, now=now, details={"settings": wanted})


@transaction.atomic
def rename(destination: RedisDestination, *, name: str, by: Actor, now: datetime) -> None:
    """Change what a destination is called. Raises `PermissionRefused`, `DestinationInvalid`."""
    by.require(Permission.MANAGE_CREDENTIALS)
    name, before = name.strip(), destination.name
    if name == before:
        return
    errors = _name_errors(destination.organisation, name)
    if errors:
        raise DestinationInvalid(errors)
    places = RedisDestination.every_place.filter(Q(pk=destination.pk) | Q(other_place_of=destination))
    try:
        with transaction.atomic():
            places.update(name=name)
    except IntegrityError:  # somebody took the name since it was looked for
        raise DestinationInvalid(_taken(name)) from None
    destination.name = name
    record("destination_renamed", destination, by=by, now=now, details={"from": before})


@transaction.atomic
def limit_pace(destination: RedisDestination, *, rows_per_second: int | None, by: Actor, now: datetime) -> None:
    """Limit what all syncs together write into the destination; None lifts the limit. Raises `PermissionRefused`."""
    by.require(Permission.MANAGE_CREDENTIALS)
    places = RedisDestination.every_place.filter(Q(pk=destination.pk) | Q(other_place_of=destination))
    places.update(rows_per_second=rows_per_second)
    record("destination_pace_limited", destination, by=by, now=now, details={"rows_per_second": rows_per_second})


@transaction.atomic
def delete(destination: RedisDestination, *, by: Actor, now: datetime) -> None:
    """Forget a destination that nothing syncs to and from which the profiles of every source were removed.

    What others wrote there is left as it is.

    Raises `PermissionRefused`, `DestinationInUse`.
    """
    by.require(Permission.DELETE_THINGS)
    left = destination.sources.exclude(status=Source.Status.REMOVED)
    if destination.activations.filter(enabled=True).exists() or left.exists():
        raise DestinationInUse(destination)
    if destination.moves.filter(state__in=DestinationMove.OPEN).exists():
        raise DestinationInUse(destination)
    destination.sources.all().delete()
    destination.activations.all().delete()
    record("destination_deleted", destination, by=by, now=now, details={})
    destination.delete()


def possible_id(public_id: str) -> bool:
    """Tell whether a destination can have this id at all; the database need not be asked about others."""
    try:
        profiles.check_adopted_id(public_id)
    except profiles.NameRefused:
        return False
    return True


def settings_of(destination: RedisDestination) -> RedisSettings:
    """Return how to reach the destination, secrets included. Raises `accounts.vault.SecretUnreadable`."""
    return RedisSettings.from_plain(destination.settings, credentials_of(destination))


def credentials_of(destination: RedisDestination) -> dict[str, str]:
    """Return the stored secrets by their names in the hosted product. Raises `accounts.vault.SecretUnreadable`."""
    credentials: dict[str, str] = json.loads(vault.decrypt(destination.credentials)) if destination.credentials else {}
    return credentials


def open_loader(destination: RedisDestination, bookkeeping: Bookkeeping, *, field: str) -> Loader:
    """Return a loader into one field (feature view) of the destination; a context manager.

    Raises `accounts.vault.SecretUnreadable`, and `DestinationError` for settings nothing can be done with.
    """
    return Loader(
        settings_of(destination),
        bookkeeping,
        field,
        allow_private=django_settings.ALLOW_PRIVATE_ADDRESSES,
        forbidden=forbidden_addresses(),
    )


def forbidden_addresses() -> list[tuple[str, int]]:
    """List (IP address, port) of our own database, broker and cache, resolved now: never a destination."""
    return own_servers.addresses()


def _id_errors(organisation: Organisation, adopted: Mapping[str, str]) -> dict[str, str]:
    errors = {}
    for field, text in adopted.items():
        try:
            profiles.check_adopted_id(text)
        except profiles.NameRefused as error:
            errors[field] = str(error)
    public_id = adopted.get("public_id")
    known = RedisDestination.objects.filter(organisation=organisation, public_id=public_id)
    if public_id and not errors and known.exists():
        errors["public_id"] = "Your organisation already has a destination with this id."
    return errors


def _name_errors(organisation: Organisation, name: str) -> dict[str, str]:
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
        return {"name": f"A name has 1 to {_NAME_LENGTH} characters."}
    if RedisDestination.objects.filter(organisation=organisation, name=name).exists():
        return _taken(name)
    return {}


def _taken(name: str) -> dict[str, str]:
    return {"name": f"Your organisation already has a destination called {name}."}


def settings_errors(settings: Mapping[str, Any], credentials: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with settings and secrets that can be seen without a connection, by field."""
    misplaced = {"password", "sentinelPassword", "clientKey"} & settings.keys()
    if misplaced:
        return dict.fromkeys(misplaced, "A secret is a credential and is not kept with the settings.")
    try:
        RedisSettings.from_plain(settings, credentials)
    except SettingsInvalid as error:
        return error.errors
    return {}


def same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether profiles lie in the same place with both settings; secrets say nothing about that."""
    return _place(one) == _place(other)


def _place(settings: Mapping[str, Any]) -> RedisSettings:
    """Return what says where the data lies: changing it means moving the data, which is not an edit."""
    return RedisSettings.from_plain({name: settings[name] for name in _SAY_WHERE if name in settings}, {})


def record(action: str, destination: RedisDestination, *, by: Actor, now: datetime, details: dict[str, object]) -> None:
    """Write the audit row of something done about a destination."""
    audit.record(
        action,
        by=by,
        target_type="destination",
        target_id=destination.public_id,
        target=destination.name,
        details=details,
        now=now,
    )
