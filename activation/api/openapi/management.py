"""The operations that set up warehouses and destinations, and how one leads to the next."""

from activation.api import waits
from activation.api.openapi.building import PAGES, Operation, linked, operation, with_headers
from activation.api.openapi.management_schemas import (
    CONNECTION_CREDENTIALS,
    CONNECTION_SETTINGS,
    NAME,
    SERVER_CREDENTIAL_CHANGES,
    SERVER_CREDENTIALS,
    SERVER_SETTINGS,
    body,
)
from activation.api.openapi.schemas import Schema, described, obj, ref, text, whole
from projects.forms import CONNECTION_FORMS

CALLED: dict[str, Schema] = {"name": text("Only the one of this name."), **PAGES}
_WAIT: dict[str, Schema] = {
    "wait": whole("Seconds to wait for the test.", maximum=waits.LONGEST, default=waits.USUAL),
}
_ADOPTED: dict[str, Schema] = {
    "destinationId": text("The id of data that is in this Redis already: the second part of its keys."),
    "workspaceId": text("The first part of the keys of data that is there already."),
}
_POSTGRESQL = {"host": "db.example.com", "port": 5432, "database": "analytics", "user": "rudder", "sslmode": "require"}
_REDIS = {"address": "<redis address>"}
_SECRET = {"password": "<password>"}


def paths() -> dict[str, dict[str, Operation]]:
    """Return the operations by path and method."""
    return {
        "/v2/warehouses": {"get": _warehouses(), "post": _connect_warehouse()},
        "/v2/warehouses/{warehouseId}": {
            "get": _read_warehouse(),
            "patch": _change_warehouse(),
            "delete": _delete_warehouse(),
        },
        "/v2/warehouses/{warehouseId}/checks": {"post": _check_warehouse()},
        "/v2/warehouses/{warehouseId}/checks/{checkId}": {"get": _read_check()},
        "/v2/destinations": {"get": _destinations(), "post": _connect_destination()},
        "/v2/destinations/probes": {"post": _probe_new()},
        "/v2/destinations/probes/{probeId}": {"get": _read_probe()},
        "/v2/destinations/{destinationId}": {
            "get": _read_destination(),
            "patch": _change_destination(),
            "delete": _delete_destination(),
        },
        "/v2/destinations/{destinationId}/probes": {"post": _probe_destination()},
    }


def page_of(name: str, schema: str) -> Schema:
    """Describe a page of things."""
    items: Schema = {"type": "array", "items": ref(schema)}
    return obj((name, "paging"), **{name: items, "paging": ref("Paging")})


def _warehouses() -> Operation:
    made = operation(
        ("Warehouses", "listWarehouses", "List warehouses"),
        query=CALLED,
        answers={"200": ("A page of warehouses, by name.", page_of("warehouses", "Warehouse"))},
        refused=("400",),
    )
    return linked(made, "200", readWarehouse={"warehouseId": "warehouses/0/id"})


def _connect_warehouse() -> Operation:
    made = operation(
        ("Warehouses", "connectWarehouse", "Connect a warehouse"),
        body=body(
            ("name", "kind", "settings"),
            name=NAME,
            kind={"enum": list(CONNECTION_FORMS)},
            settings=CONNECTION_SETTINGS,
            credentials=CONNECTION_CREDENTIALS,
            example={"name": "Analytics", "kind": "postgresql", "settings": _POSTGRESQL, "credentials": _SECRET},
        ),
        answers={"201": ("It is stored, and `checkId` is the check that was started.", ref("Warehouse"))},
        refused=("400", "409", "413", "422"),
    )
    at = {"warehouseId": "id"}
    links = {"readWarehouse": at, "changeWarehouse": at, "checkWarehouse": at, "deleteWarehouse": at}
    made = with_headers(made, "201", names=("Location",))
    return linked(made, "201", **links, readWarehouseCheck={**at, "checkId": "checkId"})


def _read_warehouse() -> Operation:
    return operation(
        ("Warehouses", "readWarehouse", "Read a warehouse"),
        path=("warehouseId",),
        answers={"200": ("The warehouse, without its secrets.", ref("Warehouse"))},
        refused=("404",),
    )


def _change_warehouse() -> Operation:
    return operation(
        ("Warehouses", "changeWarehouse", "Change a warehouse"),
        path=("warehouseId",),
        body=body(
            name=NAME,
            settings=CONNECTION_SETTINGS,
            credentials=CONNECTION_CREDENTIALS,
            example={"name": "Analytics, Frankfurt"},
        ),
        answers={"200": ("It is stored, and `checkId` is the check that was started.", ref("Warehouse"))},
        refused=("400", "404", "409", "413", "422"),
    )


def _delete_warehouse() -> Operation:
    return operation(
        ("Warehouses", "deleteWarehouse", "Delete a warehouse that no project reads from"),
        path=("warehouseId",),
        answers={"204": ("It is forgotten; what is in the warehouse stays.", None)},
        refused=("404", "409"),
    )


def _check_warehouse() -> Operation:
    made = operation(
        ("Warehouses", "checkWarehouse", "Check a warehouse"),
        path=("warehouseId",),
        answers={"202": ("The check, which a worker makes.", ref("Check"))},
        refused=("404",),
    )
    return linked(made, "202", readWarehouseCheck={"warehouseId": "path.warehouseId", "checkId": "id"})


def _read_check() -> Operation:
    return operation(
        ("Warehouses", "readWarehouseCheck", "Read a check of a warehouse"),
        path=("warehouseId", "checkId"),
        answers={"200": ("The check, step by step.", ref("Check"))},
        refused=("404",),
    )


def _destinations() -> Operation:
    made = operation(
        ("Destinations", "listDestinations", "List Redis destinations"),
        query=CALLED,
        answers={"200": ("A page of destinations, by name.", page_of("destinations", "Destination"))},
        refused=("400",),
    )
    at = {"destinationId": "destinations/0/id"}
    return linked(made, "200", readDestination=at, listSuppressions=at)


def _connect_destination() -> Operation:
    made = operation(
        ("Destinations", "connectDestination", "Test a Redis and connect it"),
        query=_WAIT,
        body=body(
            ("name", "settings"),
            name=NAME,
            settings=SERVER_SETTINGS,
            credentials=SERVER_CREDENTIALS,
            **_ADOPTED,
            example={"name": "Production Redis", "settings": _REDIS, "credentials": _SECRET},
        ),
        answers={
            "201": ("The test has passed and it is connected.", ref("Destination")),
            "202": ("The test goes on; it is connected once it has passed.", ref("PendingProbe")),
        },
        refused=("400", "409", "413", "422"),
    )
    at = {"destinationId": "id"}
    links = {"readDestination": at, "changeDestination": at, "probeDestination": at, "deleteDestination": at}
    made = with_headers(made, "201", names=("Location",))
    return linked(linked(made, "201", **links), "202", readProbe={"probeId": "probe/id"})


def _read_destination() -> Operation:
    return operation(
        ("Destinations", "readDestination", "Read a destination"),
        path=("destinationId",),
        answers={"200": ("The destination, without its secrets.", ref("Destination"))},
        refused=("404",),
    )


def _change_destination() -> Operation:
    made = operation(
        ("Destinations", "changeDestination", "Rename a destination, limit its pace, or change how it is reached"),
        path=("destinationId",),
        query=_WAIT,
        body=body(
            name=NAME,
            rowsPerSecond={"type": ["integer", "null"], "minimum": 100, "maximum": 10_000_000},
            settings=SERVER_SETTINGS,
            credentials=SERVER_CREDENTIAL_CHANGES,
            example={"credentials": _SECRET},
        ),
        answers={
            "200": ("It is changed.", ref("Destination")),
            "202": ("The test goes on; it is changed once it has passed.", ref("PendingProbe")),
        },
        refused=("400", "404", "409", "413", "422"),
    )
    return linked(made, "202", readProbe={"probeId": "probe/id"})


def _delete_destination() -> Operation:
    return operation(
        ("Destinations", "deleteDestination", "Delete a destination that nothing syncs to"),
        path=("destinationId",),
        answers={"204": ("It is forgotten.", None)},
        refused=("404", "409"),
    )


def _probe(what: tuple[str, str, str], *, path: tuple[str, ...] = (), asked: Schema, required: bool) -> Operation:
    made = operation(
        what,
        path=path,
        query=_WAIT,
        body=asked,
        body_required=required,
        answers={
            "200": ("The test, which has ended.", ref("Probe")),
            "202": ("The test, which goes on.", ref("Probe")),
        },
        refused=("400", "413", "422", *(("404",) if path else ())),
    )
    return linked(linked(made, "200", readProbe={"probeId": "id"}), "202", readProbe={"probeId": "id"})


def _probe_new() -> Operation:
    return _probe(
        ("Destinations", "probe", "Test a Redis that is not connected"),
        asked=body(
            ("settings",),
            settings=SERVER_SETTINGS,
            credentials=SERVER_CREDENTIALS,
            **_ADOPTED,
            example={"settings": _REDIS, "credentials": _SECRET},
        ),
        required=True,
    )


def _probe_destination() -> Operation:
    asked = body(settings=SERVER_SETTINGS, credentials=SERVER_CREDENTIAL_CHANGES, example={})
    return _probe(
        ("Destinations", "probeDestination", "Test a destination as it is, or as it would be changed"),
        path=("destinationId",),
        asked=described(asked, "What would be changed; nothing is stored."),
        required=False,
    )


def _read_probe() -> Operation:
    return operation(
        ("Destinations", "readProbe", "Read a connection test"),
        path=("probeId",),
        query={"wait": whole("Seconds to wait for its end.", maximum=waits.LONGEST, default=0)},
        answers={
            "200": ("The test, which has ended.", ref("Probe")),
            "202": ("The test, which goes on.", ref("Probe")),
        },
        refused=("400", "404"),
    )
