"""`/v1/activation` and `/v2/activation`: fetch a person's profile, or delete profiles.

The order of checks is the contract's: token, body, destination, access, look-up. DRF has checked the token when a
method here begins, so the body is read here and not before.
"""

import orjson
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from activation import serving
from activation.api import bodies, deletions, profiles
from activation.api.formats import envelope, json_answer
from activation.api.requests import ApiView, delivered, destination_id, identity_of, raw_body


class FetchView(ApiView):
    """`/v1/activation`: fetch only."""

    http_method_names = ["post"]

    def post(self, request: Request) -> HttpResponse:
        """Answer with the person's feature views, or with none."""
        return _plain(request, bodies.fetch_request(raw_body(request)))


class ActivationView(FetchView):
    """`/v2/activation`: fetch and delete."""

    http_method_names = ["post", "delete"]

    def post(self, request: Request) -> HttpResponse:
        """Answer as `/v1/activation` does, unless more is asked for."""
        asked = bodies.question(raw_body(request))
        return _plain(request, asked) if isinstance(asked, bodies.FetchRequest) else profiles.answer(request, asked)

    def delete(self, request: Request) -> HttpResponse:
        """Delete profiles and answer with the counts."""
        asked = bodies.delete_request(raw_body(request))
        deletion = serving.delete(
            identity_of(request),
            destination=destination_id(asked.destination),
            entity=asked.entity,
            ids=asked.ids,
            cascade=asked.cascade,
            now=timezone.now(),
        )
        told: dict[str, object] = {"deletedKeys": deletion.deleted, "actualKeys": deletion.addressed}
        if deletion.cascading is not None:
            deletions.wake(deletion.cascading)
            told["receiptId"] = deletion.cascading.public_id
        return json_answer(orjson.dumps(told))


def _plain(request: Request, asked: bodies.FetchRequest) -> HttpResponse:
    profile = serving.read(
        identity_of(request), destination=destination_id(asked.destination), entity=asked.entity, id=asked.id
    )
    return delivered(envelope(asked.entity, asked.echo, profile), request)
