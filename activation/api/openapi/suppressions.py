"""The operations about suppressions: profiles that were deleted and are kept from being written."""

from activation.api.openapi.building import PAGES, Operation, operation
from activation.api.openapi.schemas import TIME, Schema, nullable, obj, ref, text, whole
from activation.api.suppressions import DIGEST, STATES

_AT = "/v2/destinations/{destinationId}/suppressions"
SUPPRESSION = obj(
    ("number", "digest", "state", "requestedAt", "requestedBy", "receiptId", "deletedAt", "liftedAt"),
    number=whole("Counts up with every suppression of the destination."),
    digest=text(f"{DIGEST} hex digits, from which nobody can tell the id."),
    state={"enum": list(STATES), "description": "`waiting` for Redis, `deleted`, or `lifted`."},
    requestedAt=TIME,
    requestedBy=text(),
    receiptId=nullable(text("Of the cascading delete that it belongs to.")),
    deletedAt=nullable(TIME),
    liftedAt=nullable(TIME),
)
_ROWS: Schema = {"type": "array", "items": ref("Suppression")}
_PROFILE: Schema = {
    **obj(("entity", "id"), entity=text("Such as user.", minLength=1), id=ref("Id")),
    "example": {"entity": "user", "id": {"type": "email", "value": "jane@example.com"}},
}


def paths() -> dict[str, dict[str, Operation]]:
    """Return the operations by path and method."""
    return {_AT: {"get": _list()}, f"{_AT}/check": {"post": _check()}, f"{_AT}/lift": {"post": _lift()}}


def _list() -> Operation:
    return operation(
        ("Suppressions", "listSuppressions", "List what keeps deleted profiles out, newest first"),
        path=("destinationId",),
        query={"state": {"enum": list(STATES)}, "receiptId": text("Of a cascading delete."), **PAGES},
        answers={
            "200": (
                "A page of suppressions.",
                obj(("suppressions", "paging"), suppressions=_ROWS, paging=ref("Paging")),
            )
        },
        refused=("400", "404"),
    )


def _check() -> Operation:
    found = obj(("suppressed", "suppressions"), suppressed={"type": "boolean"}, suppressions=_ROWS)
    return operation(
        ("Suppressions", "checkSuppression", "Tell whether a profile is kept out"),
        path=("destinationId",),
        body=_PROFILE,
        answers={"200": ("What stands for the id, as it is and as sources normalise it.", found)},
        refused=("400", "404", "413"),
    )


def _lift() -> Operation:
    return operation(
        ("Suppressions", "liftSuppression", "Let a deleted profile return"),
        path=("destinationId",),
        body=_PROFILE,
        answers={"200": ("How many stood; the next sync writes the profile.", obj(("lifted",), lifted=whole()))},
        refused=("400", "404", "413"),
    )
