"""Answers to look-ups beyond the plain one, and `POST /v2/activation/batch`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from activation import look_ups
from activation.api import bodies, options
from activation.api.requests import ApiView, delivered, destination_id, identity_of, raw_body
from activation.diagnoses import Diagnosis
from activation.look_ups import Freshness, LookUp, Wanted
from activation.serving import ProfileId


class BatchView(ApiView):
    """`/v2/activation/batch`: fetch up to 1,000 profiles."""

    http_method_names = ["post"]

    def post(self, request: Request) -> HttpResponse:
        """Answer with one result for each id, in order."""
        asked = batch(raw_body(request, most=bodies.MAX_BATCH_BYTES))
        found = look_ups.each(
            identity_of(request),
            destination=destination_id(asked.destination),
            entity=asked.entity,
            ids=asked.ids,
            wanted=asked.wanted,
            now=timezone.now(),
        )
        return delivered(asked.told(found), request)


class Batch(NamedTuple):
    """A batch: its ids, what the answer repeats of each item, or says is wrong with it, and what is asked for."""

    destination: object
    entity: str
    ids: list[ProfileId]
    echoes: list[bodies.Echo | bodies.BodyInvalid]
    wanted: Wanted

    def told(self, found: Iterable[LookUp]) -> bytes:
        """Write the answer: what was found for each of `ids`, and what is wrong with the other items."""
        each = iter(found)
        results = [
            _refused(echo) if isinstance(echo, bodies.BodyInvalid) else _result(echo, next(each))
            for echo in self.echoes
        ]
        return orjson.dumps({"entity": self.entity, "results": results})


def batch(raw: bytes) -> Batch:
    """Read the body of a batch. Raises `BodyInvalid`, `BodyTooLarge`."""
    asked = bodies.batch_request(raw)
    wanted = options.wanted(asked.options, includes=("freshness",))
    return Batch(asked.destination, asked.entity, asked.ids, asked.echoes, wanted)


def answer(request: Request, asked: bodies.ManyRequest) -> HttpResponse:
    """Answer a body of POST with options or with several ids: the first id that has a profile wins."""
    position, found = look_ups.first(
        identity_of(request),
        destination=destination_id(asked.destination),
        entity=asked.entity,
        ids=[item.id for item in asked.items],
        wanted=options.wanted(asked.options),
        now=timezone.now(),
    )
    told = {"entity": asked.entity, "id": asked.items[position].echo, "data": _data(found)}
    return delivered(orjson.dumps(told | _facts(found)), request)


def _result(echo: Mapping[str, object], found: LookUp) -> dict[str, Any]:
    if found.unavailable:
        return {"id": echo, "status": "unavailable", "error": "The server that holds this profile does not answer."}
    told = {"id": echo, "status": "found" if found.found else "not_found", "data": _data(found)}
    return told if found.freshness is None else told | _facts(found)


def _refused(problem: bodies.BodyInvalid) -> dict[str, Any]:
    return {"id": None, "status": "invalid", "error": str(problem)}


def _data(found: LookUp) -> dict[str, orjson.Fragment]:
    data = {}  # a comprehension takes a third longer for so few
    for view, text in found.features.items():
        data[view] = orjson.Fragment(text)
    return data


def _facts(found: LookUp) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if found.freshness is not None:
        facts["freshness"] = {view: _freshness(one) for view, one in found.freshness.items()}
    if found.diagnosis is not None:
        facts["diagnosis"] = _diagnosis(found.diagnosis)
    return facts


def _freshness(one: Freshness) -> dict[str, Any]:
    told: dict[str, Any] = {"syncedAt": _time(one.synced_at), "ageSeconds": one.age, "syncRunId": one.run}
    return told if one.stale is None else {**told, "stale": one.stale}


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    told: dict[str, Any] = {"code": diagnosis.code, "message": diagnosis.message}
    if diagnosis.known:
        told["known"] = list(diagnosis.known)
    if diagnosis.invalid:
        told["invalid"] = list(diagnosis.invalid)
    return told


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
