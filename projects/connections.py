"""Warehouses of an organisation: connect, edit, delete, open.

A password is encrypted before it is stored and never shown again. What was typed is only judged here; whether it
works is told by a check (`projects.checks`), which a worker runs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts import audit, vault
from accounts.actors import Actor
from accounts.models import Organisation
from accounts.roles import Permission
from projects import connection_settings
from projects.checks import request_check, run_check
from projects.connection_settings import SettingRefused
from projects.dialling import open_warehouse
from projects.models import Warehouse, WarehouseKind
from projects.projects import NameTaken
from projects.warehouses import grants

SCHEMA_PLACE = "<schema that Profiles writes to>"

__all__ = [
    "SettingRefused",
    "WarehouseInUse",
    "connect",
    "delete",
    "edit",
    "open_warehouse",
    "request_check",
    "run_check",
]


class WarehouseInUse(Exception):
    """Projects read from the warehouse, so it cannot go; `projects` names them."""

    def __init__(self, name: str, projects: list[str]) -> None:
        super().__init__(f"{name} is read by {', '.join(projects)}. Delete or move those projects first.")
        self.projects = projects


def connect(
    *,
    organisation: Organisation,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    password: str,
    by: Actor,
    now: datetime,
) -> Warehouse:
    """Store a connection to a warehouse. `settings` holds the fields of its kind (`projects.connection_settings`).

    Raises `SettingRefused`, `NameTaken`. Nothing is dialled; ask for a check next.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    connection = connection_settings.read(kind, settings)
    warehouse = Warehouse(
        organisation=organisation,
        name=name.strip(),
        kind=WarehouseKind(kind),
        settings=connection_settings.to_plain(connection),
        credentials=vault.encrypt(password) if password else "",
        created_at=now,
    )
    with transaction.atomic():
        _save(warehouse)
        _record("warehouse_connected", warehouse, by=by, now=now, details={"kind": kind, **warehouse.settings})
    return warehouse


def edit(
    warehouse: Warehouse, *, name: str, settings: Mapping[str, Any], password: str, by: Actor, now: datetime
) -> Warehouse:
    """Change a connection; an empty password keeps the stored one.

    Whoever points the connection elsewhere enters the password again, or a stored password would be sent to a server
    it was not meant for. Raises `SettingRefused`, `NameTaken`.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    plain = connection_settings.to_plain(connection_settings.read(warehouse.kind, settings))
    changed = sorted(field for field in plain if plain[field] != warehouse.settings.get(field))
    if changed and warehouse.credentials and not password:
        raise SettingRefused("password", f"Enter the password again, because you changed {', '.join(changed)}.")
    with transaction.atomic():
        warehouse.name = name.strip()
        warehouse.settings = plain
        if password:
            warehouse.credentials = vault.encrypt(password)
        warehouse.checked_at = warehouse.check_passed = None
        _save(warehouse, "name", "settings", "credentials", "checked_at", "check_passed")
        details = {"changed": changed, "new_password": bool(password)}
        _record("warehouse_changed", warehouse, by=by, now=now, details=details)
    return warehouse


def delete(warehouse: Warehouse, *, by: Actor, now: datetime) -> None:
    """Delete a connection with its checks; what is in the warehouse stays. Raises `WarehouseInUse`."""
    by.require(Permission.DELETE_THINGS)
    try:
        with transaction.atomic():
            _record("warehouse_deleted", warehouse, by=by, now=now, details={"kind": warehouse.kind})
            warehouse.delete()
    except ProtectedError:
        names = list(warehouse.projects.order_by("name").values_list("name", flat=True))
        raise WarehouseInUse(warehouse.name, names) from None


def address_of(warehouse: Warehouse) -> str:
    """Say what the connection leads to, as one text for pages; the password is no part of it."""
    try:
        return connection_settings.read(warehouse.kind, warehouse.settings).address
    except SettingRefused:
        return ""


def grants_of(warehouse: Warehouse, schema: str = "") -> str:
    """Return the SQL that lets us read a schema and write to our own; '' where none is needed."""
    if not schema:
        schema = warehouse.projects.order_by("pk").values_list("output_schema", flat=True).first() or SCHEMA_PLACE
    values = warehouse.settings
    return grants.statements(
        warehouse.kind, schema=schema, database=values.get("database", ""), user=values.get("user", "")
    )


def _save(warehouse: Warehouse, *fields: str) -> None:
    try:
        with transaction.atomic():
            warehouse.save(update_fields=fields or None)
    except IntegrityError:
        raise NameTaken(warehouse.name) from None


def _record(action: str, warehouse: Warehouse, *, by: Actor, now: datetime, details: dict[str, object]) -> None:
    audit.record(
        action,
        by=by,
        target_type="warehouse",
        target_id=warehouse.public_id,
        target=warehouse.name,
        details=details,
        now=now,
    )
