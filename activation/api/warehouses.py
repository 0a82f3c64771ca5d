"""`/v2/warehouses`: connect, read, change and delete warehouses.

Secrets are taken and never told. Connecting and changing start a check, as on the page; a worker makes it.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.roles import Permission
from activation.api import checks, fields
from activation.api.fields import FLAG, TEXT, WHOLE, Kind, Members
from activation.api.managing import CREATED, answer, gone, listed
from activation.api.problems import FieldsInvalid
from activation.api.reached import require, warehouse_for
from activation.api.requests import ApiView, identity_of, raw_body
from activation.api.times import as_text
from projects import connections
from projects.forms import CONNECTION_FORMS, ConnectionForm, edit_form
from projects.models import Warehouse

_SECRETS = ("password",)


class WarehousesView(ApiView):
    """`GET /v2/warehouses?name=` → `{"warehouses", "paging"}`; `POST` connects one → 201."""

    http_method_names = ["get", "post"]

    def get(self, request: Request) -> HttpResponse:
        """List the organisation's warehouses."""
        identity = identity_of(request)
        require(identity, Permission.VIEW)
        return listed(request, "warehouses", Warehouse.objects.filter(organisation=identity.actor.organisation), told)

    def post(self, request: Request) -> HttpResponse:
        """Connect a warehouse and start a check of it."""
        identity = identity_of(request)
        require(identity, Permission.MANAGE_CREDENTIALS)
        body = fields.object_in(raw_body(request))
        kind = _kind(body)
        fields.checked(body, {"kind": TEXT, **_members(kind)}, required=("name", "settings"))
        form = _judged(kind(_typed(body, kind(), suggested=True)))
        with fields.refused_at(_paths(form)):
            warehouse = connections.connect(
                organisation=identity.actor.organisation,
                name=form.cleaned_data["name"],
                kind=form.kind,
                settings=form.connection(),
                password=form.typed_password,
                by=identity.actor,
                now=timezone.now(),
            )
        at = f"{request.path}/{warehouse.public_id}"
        return answer(_checked(warehouse, by=identity.actor), status=CREATED, at=at)


class WarehouseView(ApiView):
    """`/v2/warehouses/{id}`: read, change and delete a connection."""

    http_method_names = ["get", "patch", "delete"]

    def get(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Tell how a warehouse is connected."""
        return answer(told(warehouse_for(identity_of(request), warehouse_id, Permission.VIEW)))

    def patch(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Change what the body names, keep the rest, and start a check."""
        identity = identity_of(request)
        warehouse = warehouse_for(identity, warehouse_id, Permission.MANAGE_CREDENTIALS)
        kind = CONNECTION_FORMS[warehouse.kind]
        body = fields.read(raw_body(request), _members(kind))
        as_it_is = {"name": warehouse.name, **warehouse.settings}
        form = _judged(edit_form(warehouse, {**as_it_is, **_typed(body, kind())}))
        with fields.refused_at(_paths(form)):
            connections.edit(
                warehouse,
                name=form.cleaned_data["name"],
                settings=form.connection(),
                password=form.typed_password,
                by=identity.actor,
                now=timezone.now(),
            )
        return answer(_checked(warehouse, by=identity.actor))

    def delete(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Forget a connection that no project reads from."""
        identity = identity_of(request)
        warehouse = warehouse_for(identity, warehouse_id, Permission.DELETE_THINGS)
        connections.delete(warehouse, by=identity.actor, now=timezone.now())
        return gone()


def told(warehouse: Warehouse) -> dict[str, Any]:
    """Tell how a warehouse is connected, without its secrets."""
    return {
        "id": warehouse.public_id,
        "name": warehouse.name,
        "kind": warehouse.kind,
        "settings": warehouse.settings,
        "credentialsSet": list(_SECRETS) if warehouse.credentials else [],
        "checkedAt": as_text(warehouse.checked_at),
        "checkPassed": warehouse.check_passed,
        "createdAt": as_text(warehouse.created_at),
    }


def _checked(warehouse: Warehouse, *, by: Actor) -> dict[str, Any]:
    return {**told(warehouse), "checkId": checks.start(warehouse, by=by).public_id}


def _kind(body: Mapping[str, Any]) -> type[ConnectionForm]:
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in CONNECTION_FORMS:
        raise FieldsInvalid({"kind": f"Choose one of {', '.join(CONNECTION_FORMS)}."})
    return CONNECTION_FORMS[kind]


def _members(kind: type[ConnectionForm]) -> Members:
    """Return the members of a body about a kind of warehouse, made from what its page asks for."""
    asked = kind.base_fields
    return {
        "name": TEXT,
        "settings": {name: _value(field) for name, field in asked.items() if name not in {"name", *_SECRETS}},
        "credentials": {name: TEXT for name in _SECRETS if name in asked},
    }


def _value(field: forms.Field) -> Kind:
    if isinstance(field, forms.IntegerField):
        return WHOLE
    return FLAG if isinstance(field, forms.BooleanField) else TEXT


def _typed(body: Mapping[str, Any], form: ConnectionForm, *, suggested: bool = False) -> dict[str, Any]:
    """Return a body as the page's form takes it; with `suggested` what is left out is as the form suggests it."""
    typed = {name: field.initial for name, field in form.fields.items() if suggested and field.initial is not None}
    typed |= {name: body[name] for name in ("name",) if name in body}
    return {**typed, **body.get("settings", {}), **body.get("credentials", {})}


def _judged(form: ConnectionForm) -> ConnectionForm:
    return fields.judge(form, _paths(form))


def _paths(form: ConnectionForm) -> dict[str, str]:
    """Map the form's names to the paths of the body's members."""
    paths = {name: f"settings.{name}" for name in form.fields}
    return {**paths, "name": "name", "kind": "kind", **{name: f"credentials.{name}" for name in _SECRETS}}
