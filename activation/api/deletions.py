"""`GET /v2/deletions/{id}`: where a cascading delete stands. Counts, names and times; never an id."""

from typing import Any

import orjson
from django.db import transaction
from django.http import Http404, HttpResponse
from rest_framework.request import Request

from accounts.roles import Permission
from activation import serving, tasks
from activation.access import deletion_for
from activation.api.formats import json_answer
from activation.api.requests import ApiView, identity_of
from activation.api.times import as_text
from activation.models import Deletion

_EXPIRES = 10
_STATUS_OF = {**{state.value: state.value for state in Deletion.State}, Deletion.State.QUEUED.value: "running"}


class DeletionView(ApiView):
    """`GET /v2/deletions/{id}` → the receipt; a token that may not delete there sees none."""

    http_method_names = ["get"]

    def get(self, request: Request, deletion_id: str) -> HttpResponse:
        """Tell where a cascading delete stands."""
        identity = identity_of(request)
        if not deletion_id.isalnum():
            raise Http404
        row = deletion_for(identity.actor, deletion_id)
        may = identity.actor.may(Permission.CALL_ACTIVATION_API) and serving.within_limits(
            identity, verb="delete", destination=row.destination.public_id, entity=row.entity
        )
        if not may:
            raise Http404
        return json_answer(orjson.dumps(_told(row)))


def wake(row: Deletion) -> None:
    """Wake a worker for a cascading delete; the tick does where that fails."""
    kwargs = {"deletion_id": row.pk}
    transaction.on_commit(lambda: tasks.delete_other_ids.apply_async(kwargs=kwargs, expires=_EXPIRES), robust=True)


def _told(row: Deletion) -> dict[str, Any]:
    return {
        "receiptId": row.public_id,
        "status": _STATUS_OF[row.state],
        "entity": row.entity,
        "destinationId": row.destination.public_id,
        "requestedAt": as_text(row.created_at),
        "finishedAt": as_text(row.finished_at),
        "idsFound": row.ids_found,
        "actualKeys": row.keys_addressed,
        "deletedKeys": row.keys_deleted,
        "notLookedAt": [
            {
                "connectionId": each["source"],
                "idType": each["id_type"],
                "view": each["view"],
                "code": each["code"],
                "reason": each["message"],
            }
            for each in row.missed
        ],
        "errorCode": row.error_code or None,
        "error": row.error or None,
    }
