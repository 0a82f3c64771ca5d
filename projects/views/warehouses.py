"""Warehouses: the list, connecting one, its page, changing and deleting it."""

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import SignedInRequest, organisation_page, see_other
from accounts.roles import Permission
from projects import access, checks, connections, tasks
from projects.connection_settings import SettingRefused
from projects.connections import WarehouseInUse
from projects.forms import CONNECTION_FORMS, ConnectionForm, DeleteForm, edit_form
from projects.models import Warehouse, WarehouseKind
from projects.projects import NameTaken


@require_safe
@organisation_page()
def warehouse_list(request: SignedInRequest) -> HttpResponseBase:
    """List the organisation's warehouses."""
    return render(request, "projects/warehouses.html", {"warehouses": access.warehouses_of(request.actor)})


@require_safe
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def warehouse_kinds(request: SignedInRequest) -> HttpResponseBase:
    """Ask which kind of warehouse to connect."""
    return render(request, "projects/warehouse_kinds.html", {"kinds": WarehouseKind})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def warehouse_new(request: SignedInRequest, kind: str) -> HttpResponseBase:
    """Connect a warehouse of a kind, and check it."""
    if kind not in CONNECTION_FORMS:
        raise Http404
    form = CONNECTION_FORMS[kind](request.POST or None)
    if form.is_valid() and (warehouse := _connected(request, form)) is not None:
        tasks.wake(checks.request_check(warehouse, by=request.actor, now=timezone.now()))
        return _to(warehouse, request)
    context = {"form": form, "kind": WarehouseKind(kind)}
    return render(request, "projects/warehouse_new.html", context)


@require_safe
@organisation_page()
def warehouse_detail(request: SignedInRequest, warehouse: str) -> HttpResponseBase:
    """Show a warehouse, its last check, and what to do next."""
    found = access.warehouse_for(request.actor, warehouse)
    context = {
        "warehouse": found,
        "address": connections.address_of(found),
        "check": checks.latest_check(found),
        "projects": found.projects.order_by("name"),
        "grants": connections.grants_of(found),
    }
    return render(request, "projects/warehouse.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.MANAGE_CREDENTIALS)
def warehouse_edit(request: SignedInRequest, warehouse: str) -> HttpResponseBase:
    """Change a connection, and check it."""
    found = access.warehouse_for(request.actor, warehouse)
    form = edit_form(found, request.POST or None)
    if form.is_valid() and _changed(request, found, form):
        tasks.wake(checks.request_check(found, by=request.actor, now=timezone.now()))
        return _to(found, request)
    context = {"warehouse": found, "form": form}
    return render(request, "projects/warehouse_edit.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_page(permission=Permission.DELETE_THINGS)
def warehouse_delete(request: SignedInRequest, warehouse: str) -> HttpResponseBase:
    """Delete a connection, after its name was typed."""
    found = access.warehouse_for(request.actor, warehouse)
    form = DeleteForm(request.POST or None, expected=found.name)
    if form.is_valid():
        try:
            connections.delete(found, by=request.actor, now=timezone.now())
        except WarehouseInUse as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{found.name} is disconnected. What is in the warehouse stays there.")
            return see_other("projects:warehouses", organisation=request.organisation.slug)
    context = {"warehouse": found, "form": form}
    return render(request, "projects/warehouse_delete.html", context)


def _connected(request: SignedInRequest, form: ConnectionForm) -> Warehouse | None:
    """Store what was typed, or put the reason why not on the form."""
    try:
        return connections.connect(
            organisation=request.organisation,
            name=form.cleaned_data["name"],
            kind=form.kind,
            settings=form.connection(),
            password=form.typed_password,
            by=request.actor,
            now=timezone.now(),
        )
    except SettingRefused as error:
        form.refuse(error)
    except NameTaken as error:
        form.add_error("name", str(error))
    return None


def _changed(request: SignedInRequest, warehouse: Warehouse, form: ConnectionForm) -> bool:
    try:
        connections.edit(
            warehouse,
            name=form.cleaned_data["name"],
            settings=form.connection(),
            password=form.typed_password,
            by=request.actor,
            now=timezone.now(),
        )
    except SettingRefused as error:
        form.refuse(error)
    except NameTaken as error:
        form.add_error("name", str(error))
    return form.is_valid()


def _to(warehouse: Warehouse, request: SignedInRequest) -> HttpResponseBase:
    return see_other("projects:warehouse", organisation=request.organisation.slug, warehouse=warehouse.public_id)
