"""`POST /v2/activation/batch` on the real server: the same bytes whichever way it is served."""

import hashlib
import json

import pytest

from tests.contracts.server import ApiServer

PATH = "/v2/activation/batch"
PERSON = "batch@example.com"


@pytest.fixture(autouse=True)
def profile(server: ApiServer):
    key = server.key("main", "user", "email", PERSON)
    server.redis.hset(key, mapping={"view:B": '{"A":1.10}', "a": "[1, 2]", "bad": "{"})
    yield
    server.redis.delete(key)


def asked(server: ApiServer, *ids: object, destination: str = "main", **changes: object) -> dict[str, object]:
    return {"entity": "user", "destinationId": server.destinations[destination][1], "ids": ids, **changes}


def email(value: object) -> dict[str, object]:
    return {"type": "email", "value": value}


def test_each_id_is_answered_in_order_to_the_byte(server: ApiServer):
    for _ in range(2 * server.workers):  # every process has looked token and destination up
        answer = server.call("POST", PATH, asked(server, email(PERSON), email(7), {"type": 1}, email(PERSON)))
        found = b'{"id":{"type":"email","value":"batch@example.com"},"status":"found","data":{"view:B":{"A":1.10},"a":[1, 2]}}'
        assert answer.body == (
            b'{"entity":"user","results":['
            + found
            + b',{"id":{"type":"email","value":7},"status":"not_found","data":{}},'
            + b'{"id":null,"status":"invalid","error":"ids[2].type must be a text."},'
            + found
            + b"]}"
        )
        assert answer.status == 200
        assert answer.headers["etag"] == f'W/"{hashlib.sha256(answer.body).hexdigest()[:24]}"'


@pytest.mark.parametrize(
    ("token", "destination", "changes", "status", "code"),
    [
        (None, "main", {}, 401, "unauthorized"),
        ("viewer", "main", {}, 401, "unauthorized"),
        ("limited", "main", {}, 401, "unauthorized"),
        ("admin", "theirs", {}, 404, "invalid_destination"),
        ("admin", "main", {"ids": []}, 400, "invalid_request"),
        ("admin", "main", {"include": ["diagnosis"]}, 400, "invalid_request"),
        ("admin", "closed", {}, 503, "destination_unavailable"),
    ],
)
def test_what_cannot_be_answered_is_refused(server: ApiServer, token, destination, changes, status, code):
    for _ in range(2):
        answer = server.call(
            "POST", PATH, {**asked(server, email(PERSON), destination=destination), **changes}, token=token
        )
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
