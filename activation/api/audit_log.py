"""`GET /v2/audit-log`: what happened in the token's organisation, for whoever collects such logs."""

from typing import Any

import orjson
from django.http import HttpResponse, QueryDict
from rest_framework.request import Request

from accounts import audit_search
from accounts.models import AuditEvent
from accounts.roles import Permission
from activation import serving
from activation.api.bodies import BodyInvalid
from activation.api.formats import json_answer
from activation.api.paging import Paging
from activation.api.requests import ApiView, identity_of
from activation.api.times import as_text, asked_for

# The log tells of everything, so a token that is limited to some calls or things may not read it.
_OTHER_LIMITS = frozenset({"networks", "rate"})


class AuditLogView(ApiView):
    """`GET …?person=&action=&target=&since=&until=&page=&per_page=` → `{"events", "paging"}`, newest first."""

    http_method_names = ["get"]

    def get(self, request: Request) -> HttpResponse:
        """List what happened."""
        identity = identity_of(request)
        identity.actor.require(Permission.SEE_AUDIT_LOG)
        if not identity.limits.keys() <= _OTHER_LIMITS:
            raise serving.AccessRefused
        asked = request.query_params
        found = audit_search.find(_search(asked), by=identity.actor)
        paging = Paging.of(request.path, asked)
        rows = [_told(event) for event in paging.rows(found)]
        return json_answer(orjson.dumps({"events": rows, "paging": paging.told(found.count())}))


def _search(asked: QueryDict) -> audit_search.Search:
    texts = {name: asked.get(name, "") for name in ("person", "action", "target")}
    for name, text in texts.items():
        if len(text) > audit_search.LONGEST or not text.isprintable():
            raise BodyInvalid(f"{name} must be one line of at most {audit_search.LONGEST} characters.")
    return audit_search.Search(**texts, since=asked_for(asked, "since"), until=asked_for(asked, "until"))


def _told(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": event.public_id,
        "at": as_text(event.at),
        "person": event.actor,
        "token": event.token or None,
        "action": event.action,
        "target": event.target or None,
        "targetType": event.target_type,
        "targetId": event.target_id or None,
        "details": event.details,
        "address": event.address,
    }
