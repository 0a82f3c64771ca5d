"""The wire contract of `/v1/activation` and `/v2/activation`: every row of its table, on the real server.

Each row is asked on every route it concerns, and the whole answer is compared: status, body to the byte, headers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contracts.server import ApiServer

POST_1, POST_2, DELETE_2 = ("POST", "/v1/activation"), ("POST", "/v2/activation"), ("DELETE", "/v2/activation")
ALL, FETCH = (POST_1, POST_2, DELETE_2), (POST_1, POST_2)

UNAUTHORIZED = (401, "unauthorized", "Unauthorized request. Please check your access token")
WRONG_DESTINATION = (
    404,
    "invalid_destination",
    "Invalid Destination. Please verify you are passing the right destination ID",
)
UNREACHABLE = (
    503,
    "destination_unavailable",
    "The Redis destination cannot be reached at the moment. Try again in a few seconds.",
)
PENDING = (
    503,
    "destination_unavailable",
    UNREACHABLE[2].partition(" Try")[0]
    + " The delete is noted: no sync brings these profiles back, and it is retried until Redis has done it.",
)
ID = {"type": "email", "value": "nobody@example.com"}
ABSENT = type("Absent", (), {"__repr__": lambda _: "absent"})()


def invalid(text: str) -> tuple[int, str, str]:
    return 400, "invalid_request", text


@dataclass(frozen=True)
class Row:
    """One row: what differs from a request in order, and what the answer is (status, code, text)."""

    name: str
    expected: tuple[int, str, str]
    routes: tuple[tuple[str, str], ...] = ALL
    token: str | None = "admin"
    destination: Any = "main"
    change: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1


def changed(name: str, expected: tuple[int, str, str], routes: Any = ALL, **change: Any) -> Row:
    return Row(name, expected, routes, change=change)


OBJECT = 'id must be an object with "type" and "value".'
OBJECT_OR_LIST = 'id must be an object with "type" and "value", or a list of such objects.'
VALUE = "id.value must be a text or a whole number."
RESERVED = "entity must not be _activation: this name is kept for the sync's own keys."
NO_ID = "id should have at least one item"
LONG = "x" * 1025
NO_TEXTS: list[Any] = [None, 5, True, [], {}]
EMPTY_IDS: list[Any] = [ABSENT, None, {}, []]
NO_OBJECTS: list[Any] = [None, "x", 5, [], [ID]]
WRONG_DESTINATIONS: list[Any] = [*NO_TEXTS, 1.5, "", " ", "a b", "a:b", "\x00", "Ä" * 200]
WRONG_VALUES: list[Any] = [True, False, None, 1.5, 1.0, [], {}]

ROWS = [
    # token
    Row("no token", UNAUTHORIZED, token=None, answer_headers={"www-authenticate": "Bearer"}),
    *(Row(f"{name} token", UNAUTHORIZED, token=name) for name in ("expired", "revoked", "left")),
    Row("unknown token", UNAUTHORIZED, token=None, headers={"Authorization": "Bearer " + "actv" + "_x_y"}),
    Row("another scheme", UNAUTHORIZED, token=None, headers={"Authorization": "Basic eDp5"}),
    Row("bytes as a token", UNAUTHORIZED, token=None, headers={"Authorization": "Bearer \xff\xfe"}),
    *(Row(f"{name} token is too weak", UNAUTHORIZED, token=name) for name in ("editor", "viewer")),
    Row("a limited token elsewhere", UNAUTHORIZED, token="limited"),
    # destination
    Row("unknown destination", WRONG_DESTINATION, destination="0000000000000000000000000000"),
    Row("another organisation's destination", WRONG_DESTINATION, destination="theirs"),
    *(Row(f"destination {wrong!r}"[:40], WRONG_DESTINATION, destination=wrong) for wrong in WRONG_DESTINATIONS),
    Row("no destination", WRONG_DESTINATION, destination=ABSENT),
    # order of checks
    Row("a bad token comes before a bad body", UNAUTHORIZED, token="revoked", raw=b"{"),
    Row(
        "a bad body comes before a bad destination",
        invalid("entity is missing."),
        destination="",
        change={"entity": ABSENT},
    ),
    Row("a bad destination comes before a weak token", WRONG_DESTINATION, token="viewer", destination="theirs"),
    Row(
        "a bad body comes before a weak token", invalid("entity is missing."), token="viewer", change={"entity": ABSENT}
    ),
    # body
    Row("no body", invalid("The body is not valid JSON (line 1, column 1)."), raw=b""),
    Row("not JSON", invalid("The body is not valid JSON (line 1, column 2)."), raw=b"{"),
    Row("a form", invalid("The body is not valid JSON (line 1, column 1)."), raw=b"entity=user"),
    Row("not UTF-8", invalid("The body is not valid JSON (line 1, column 1)."), raw=b'"\xff"'),
    Row(
        "a lone surrogate beside a huge number",
        invalid("The body is not valid JSON."),
        raw=b"[1" + b"0" * 400 + b',"\\ud800"]',
    ),
    Row("a lone surrogate", invalid("The body is not valid JSON (line 1, column 2)."), raw=b'"\\ud800"'),
    Row("too deep", invalid("The body is nested too deeply."), raw=b"[" * 30_000),
    *(
        Row(f"{raw.decode()} is no object", invalid("The body must be a JSON object."), raw=raw)
        for raw in (b"[]", b"null", b"5", b'"x"', b"true")
    ),
    Row("too large", (413, "too_large", "The body is larger than 64 KiB."), raw=b'"' + b"x" * 65_535 + b'"'),
    changed("no entity", invalid("entity is missing."), entity=ABSENT),
    *(changed(f"entity {wrong}", invalid("entity must be a text."), entity=wrong) for wrong in NO_TEXTS),
    *(changed(f"entity {wrong!r}", invalid("entity must not be blank."), entity=wrong) for wrong in ("", " \t")),
    *(changed(f"entity {wrong}", invalid(RESERVED), entity=wrong) for wrong in ("_activation", "_activation:{1}:s")),
    # id
    changed("no id", invalid("id is missing."), FETCH, id=ABSENT),
    *(changed(f"id {wrong}", invalid(OBJECT), (POST_1,), id=wrong) for wrong in NO_OBJECTS),
    *(
        changed(f"id {wrong}", invalid(OBJECT), (POST_2,), id=wrong)
        for wrong in NO_OBJECTS
        if not isinstance(wrong, list)
    ),
    changed("an empty list", invalid(NO_ID), (POST_2,), id=[]),
    changed("id {}", invalid("id.type is missing."), FETCH, id={}),
    *(changed(f"id {wrong}", invalid(NO_ID), (DELETE_2,), id=wrong) for wrong in EMPTY_IDS),
    *(changed(f"id {wrong!r}", invalid(OBJECT_OR_LIST), (DELETE_2,), id=wrong) for wrong in ("x", 5, True)),
    changed("a list of texts", invalid(OBJECT.replace("id", "id[0]")), (POST_2, DELETE_2), id=["x"]),
    changed("a bad item", invalid("id[1].value is missing."), (POST_2, DELETE_2), id=[ID, {"type": "email"}]),
    changed("too many items", invalid("id has more than 100 items."), (POST_2, DELETE_2), id=[ID] * 101),
    changed("no type", invalid("id.type is missing."), id={"value": "x"}),
    changed("a blank type", invalid("id.type must not be blank."), id={"type": " ", "value": "x"}),
    changed("a number as type", invalid("id.type must be a text."), id={"type": 5, "value": "x"}),
    changed("no value", invalid("id.value is missing."), id={"type": "email"}),
    changed("a blank value", invalid("id.value must not be blank."), id={"type": "email", "value": " "}),
    changed("a long value", invalid("id.value is longer than 1,024 bytes."), id={"type": "email", "value": LONG}),
    Row(
        "a number of 1,025 digits",
        invalid("id.value is longer than 1,024 bytes."),
        raw=b'{"entity":"user","id":{"type":"email","value":' + b"9" * 1025 + b"}}",
    ),
    *(changed(f"value {wrong}", invalid(VALUE), id={"type": "email", "value": wrong}) for wrong in WRONG_VALUES),
    # methods and media types
    *(
        Row(
            f"{method} {path}",
            (405, "method_not_allowed", "This method is not allowed here."),
            ((method, path),),
            answer_headers={"allow": allowed},
        )
        for path, allowed, methods in (
            ("/v1/activation", "POST", ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")),
            ("/v2/activation", "POST, DELETE", ("GET", "PUT", "PATCH", "OPTIONS")),
        )
        for method in methods
    ),
    *(
        Row(
            f"Accept: {accept}",
            (406, "not_acceptable", "Only application/json can be answered; the Accept header excludes it."),
            headers={"Accept": accept},
        )
        for accept in ("text/html", "application/json;q=0, */*", "nonsense")
    ),
    Row(
        "too often",
        (429, "rate_limited", "Too many requests. Wait for as long as Retry-After says."),
        token="slow",
        times=2,
    ),
    # destinations that do not answer
    *(
        row
        for place in ("closed", "silent")
        for row in (
            Row(f"a {place} destination", UNREACHABLE, FETCH, destination=place, answer_headers={"retry-after": "1"}),
            Row(f"a {place} destination", PENDING, (DELETE_2,), destination=place, answer_headers={"retry-after": "1"}),
        )
    ),
    Row("nothing to note for profiles that may return", UNREACHABLE, (DELETE_2,), destination="closed_may_return"),
    # paths
    *(
        Row(
            f"{path} is nowhere",
            (404, "not_found", "Nothing is here. Check the path and the ids in it."),
            ((verb, path),),
        )
        for path in ("/v2/", "/v1/nothing", "/v2/activation/", "/v2/activation%FF")
        for verb in ("GET", "POST", "DELETE")
    ),
]
CASES = [(row, method, path) for row in ROWS for method, path in row.routes]


def body_of(server: ApiServer, row: Row) -> bytes:
    if row.raw is not None:
        return row.raw
    known = isinstance(row.destination, str) and row.destination in server.destinations
    destination = server.destinations[row.destination][1] if known else row.destination
    body = {"entity": "user", "destinationId": destination, "id": ID, **row.change}
    return json.dumps({name: value for name, value in body.items() if value is not ABSENT}).encode()


@pytest.mark.parametrize(
    ("row", "method", "path"), CASES, ids=[f"{method} {path[:3]} {row.name}" for row, method, path in CASES]
)
def test_an_error_is_told_as_the_contract_says(server, row, method, path):
    status, code, text = row.expected
    # Each worker process keeps to a token's rate by itself, and nobody knows which one answers.
    for _ in range(row.times if row.times == 1 else 20 * server.workers):
        answer = server.call(method, path, body_of(server, row), token=row.token, headers=row.headers)
        if answer.status == status:
            break

    told = {"error": text, "code": code}
    if method == "DELETE" and status not in {401, 404}:
        told = {"message": text, **told}
    assert (answer.status, answer.json) == (status, told)
    assert answer.headers["content-type"] == "application/json"
    assert ("retry-after" in answer.headers) == (status in {429, 503})
    for name, value in row.answer_headers.items():
        assert answer.headers[name] == value


PROFILE = {
    "WEB_PERSONALIZATION:FEATURES_BY_ANON": '{"USER_APP_SIGN_UP":true, "SCORE":1.10,"E":1e5}',
    "features_by_email": '{"DAYS_SINCE_LAST_SEEN":40,"PLAN":null,"BIG":123456789012345678901234567890,"N":"\\u00e4ä"}',
}
SPLICED = ",".join(f'"{name}":{text}' for name, text in PROFILE.items()).encode()


@pytest.mark.parametrize(("method", "path"), FETCH)
@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ('"found@example.com"', "found@example.com"),
        ('"with:colons{and}\\u0000\\u00e4 "', "with:colons{and}\x00ä "),
        ("42", "42"),
        ("-7", "-7"),
        ("18446744073709551616", "18446744073709551616"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("9" * 1024, "9" * 1024),
        ("-0", "0"),
        ('"' + "x" * 1024 + '"', "x" * 1024),
    ],
)
def test_a_known_id_is_answered_with_redis_own_texts(server, method, path, sent, text):
    server.redis.hset(server.key("main", "user", "email", text), mapping=PROFILE)
    destination = server.destinations["main"][1]
    asked = f'{{"entity":"user","destinationId":"{destination}","id":{{"type":"email","value":{sent}}}}}'

    answer = server.call(method, path, asked.encode())

    echoed = json.dumps(text, ensure_ascii=False) if sent.startswith('"') else text
    envelope = f'{{"entity":"user","id":{{"type":"email","value":{echoed}}},"data":{{'.encode()
    assert (answer.status, answer.body) == (200, envelope + SPLICED + b"}}")


@pytest.mark.parametrize(("method", "path"), FETCH)
def test_a_redis_that_the_hosted_product_filled_is_served(server, method, path):
    row = (
        '{"MODEL_ID":"1691755780","VALID_AT":"2023-08-11T11:32:44.963062Z",'
        '"USER_MAIN_ID":"rid5530313526204a95efe71d98cd17d5a1","CHURN_SCORE_7_DAYS":0.027986,'
        '"PERCENTILE_CHURN_SCORE_7_DAYS":0}'
    )
    key = "some-workspace-id:1WhcOCGgj9asZu850HvugU2C3Aq:some-entity:some-id-type:some-user-id"
    server.redis.hset(key, "some-model", row)
    asked = {
        "entity": "some-entity",
        "destinationId": "1WhcOCGgj9asZu850HvugU2C3Aq",
        "id": {"type": "some-id-type", "value": "some-user-id"},
    }

    answer = server.call(method, path, asked)

    envelope = '{"entity":"some-entity","id":{"type":"some-id-type","value":"some-user-id"},"data":{"some-model":'
    assert (answer.status, answer.body.decode()) == (200, envelope + row + "}}")


@pytest.mark.parametrize(("method", "path"), FETCH)
def test_an_unknown_id_is_answered_with_no_data(server, method, path):
    asked = {"entity": "user", "destinationId": server.destinations["main"][1], "id": ID, "more": [1]}

    answer = server.call(method, path, asked)

    body = b'{"entity":"user","id":{"type":"email","value":"nobody@example.com"},"data":{}}'
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "x"]
)
@pytest.mark.parametrize(("method", "path"), ALL)
def test_any_content_type_is_read_as_json(server, method, path, content_type):
    asked = {"entity": "user", "destinationId": server.destinations["main"][1], "id": ID}
    answer = server.call(method, path, asked, headers={"Content-Type": content_type})
    assert answer.status == 200


@pytest.mark.parametrize(("method", "path"), ALL)
def test_a_body_of_unknown_length_is_read_too(server, method, path):
    asked = json.dumps({"entity": "user", "destinationId": server.destinations["main"][1], "id": ID}).encode()
    headers = {"Authorization": f"Bearer {server.tokens['admin']}"}

    assert server.ask(method, path, body=iter([asked[:9], asked[9:]]), headers=headers).status == 200
    assert server.ask(method, path, body=iter([b'"', b"x" * 70_000]), headers=headers).status == 413


def test_the_last_of_two_equal_names_counts_and_nothing_breaks(server):
    destination = server.destinations["main"][1]
    asked = f'{{"entity":5,"destinationId":"{destination}","id":{{}},"id":{json.dumps(ID)},"entity":"user"}}'
    assert server.call("POST", "/v2/activation", asked.encode()).status == 200


@pytest.mark.parametrize("destination", ["main", "may_return"])
def test_a_delete_counts_keys_that_were_there_and_keys_that_were_named(server, destination):
    there = [f"delete-{destination}-{number}" for number in range(3)]
    for value in there:
        server.redis.hset(server.key(destination, "user", "email", value), mapping=PROFILE)
    named = [*there, there[0], "delete-not-there"]
    asked = {
        "entity": "user",
        "destinationId": server.destinations[destination][1],
        "id": [{"type": "email", "value": value} for value in named],
    }

    first, second = (server.call("DELETE", "/v2/activation", asked) for _ in range(2))

    assert (first.status, first.body) == (200, b'{"deletedKeys":3,"actualKeys":4}')
    assert (second.status, second.body) == (200, b'{"deletedKeys":0,"actualKeys":4}')
    assert not server.redis.exists(*(server.key(destination, "user", "email", value) for value in there))


def test_one_id_is_deleted_without_a_list_and_a_number_is_the_same_key_as_its_text(server):
    server.redis.hset(server.key("main", "user", "email", "77"), mapping=PROFILE)
    destination = server.destinations["main"][1]
    ids = [{"type": "email", "value": 77}, {"type": "email", "value": "77"}]

    listed = server.call("DELETE", "/v2/activation", {"entity": "user", "destinationId": destination, "id": ids})
    single = server.call("DELETE", "/v2/activation", {"entity": "user", "destinationId": destination, "id": ids[0]})

    assert listed.json == {"deletedKeys": 1, "actualKeys": 1}
    assert single.json == {"deletedKeys": 0, "actualKeys": 1}


def test_a_body_of_exactly_64_kib_is_not_too_large(server):
    asked = {"entity": "user", "destinationId": server.destinations["main"][1], "id": ID, "more": ""}
    asked["more"] = "x" * (64 * 1024 - len(json.dumps(asked)))
    assert server.call("POST", "/v2/activation", asked).status == 200
