"""Bodies that are too deep, too long or too many are told so, wherever they come; at the limit they are taken."""

import json

import pytest

from activation import handles
from activation.api import bodies
from tests.activation.conftest import connected
from tests.contracts.caller import call

READS = [("POST", "/v1/activation"), ("POST", "/v2/activation"), ("DELETE", "/v2/activation")]
MANAGED = [("POST", f"/v2/{things}") for things in ("projects", "warehouses", "destinations")]
BATCH = ("POST", "/v2/activation/batch")
DEEP = 30_000  # far beyond what any parser's stack holds, within what a body may weigh


class World:
    """A destination that is there and a token that may use it."""

    def __init__(self, member, server):
        self.destination = connected(member, server).public_id
        self.token = member.token()

    def asked(self, **members):
        return {"entity": "user", "destinationId": self.destination, "id": {"type": "email", "value": "x"}, **members}

    def send(self, route, asked):
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        method, path = route
        return call(method, path, body, HTTP_AUTHORIZATION=f"Bearer {self.token}")


@pytest.fixture
def world(admin, redis_server):
    yield World(admin, redis_server)
    handles.close()


def nested(depth, opening, closing):
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize("route", [*READS, BATCH, *MANAGED], ids=" ".join)
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize("number", [b"", b'"n":1e999,'], ids=["plain", "with a number that only one parser takes"])
def test_a_body_that_is_nested_too_deeply_is_told_so(world, route, brackets, number):
    depth = DEEP if brackets[0] == b"[" else DEEP // 3
    for body in (nested(depth, *brackets), b"{" + number + b'"id":' + nested(depth, *brackets) + b"}"):
        answer = world.send(route, body)
        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
        assert answer.json["error"] == bodies.TOO_DEEP


@pytest.mark.parametrize("route", [*READS, BATCH, *MANAGED], ids=" ".join)
@pytest.mark.parametrize("number", [b"", b'"n":1e999,'], ids=["plain", "with a number that only one parser takes"])
@pytest.mark.parametrize("depth", [200, 300, 900, 1_024])
def test_a_body_of_any_depth_is_never_an_error_of_ours(world, route, number, depth):
    given = json.dumps(world.asked(ids=[{"type": "email", "value": "x"}])).encode()[1:-1]
    for member in (b"id", b"ids", b"entity", b"views", b"include", b"name", b"settings", b"other"):
        deep = b'"' + member + b'":' + nested(depth, b"[", b"]")
        for sent in (b"{" + number + deep + b"," + given + b"}", b"{" + number + given + b"," + deep + b"}"):
            assert world.send(route, sent).status in {200, 400, 422}


@pytest.mark.parametrize("route", READS, ids=" ".join)
def test_an_id_may_have_1024_bytes_in_any_letters(world, route):
    for fits, too_long in (("x" * 1024, "x" * 1025), ("\u00e4" * 512, "\u00e4" * 512 + "x"), (10**1023, 10**1024)):
        assert world.send(route, world.asked(id={"type": "email", "value": fits})).status == 200
        refused = world.send(route, world.asked(id={"type": "email", "value": too_long}))
        assert (refused.status, refused.json["error"]) == (400, "id.value is longer than 1,024 bytes.")


@pytest.mark.parametrize(
    ("route", "member", "most"), [(BATCH, "ids", 1_000), (READS[1], "id", 100), (READS[2], "id", 100)]
)
def test_so_many_ids_and_not_one_more(world, route, member, most):
    ids = [{"type": "email", "value": str(number)} for number in range(most + 1)]
    assert world.send(route, world.asked(**{member: ids[:-1]})).status == 200
    refused = world.send(route, world.asked(**{member: ids}))
    assert (refused.status, refused.json["error"]) == (400, f"{member} has more than {most:,} items.")


@pytest.mark.parametrize(("route", "most"), [*((route, 64 * 1024) for route in READS), (BATCH, 2 * 1024 * 1024)])
def test_a_body_of_so_many_bytes_and_not_one_more(world, route, most):
    given = json.dumps(world.asked(ids=[{"type": "email", "value": "x"}])).encode()
    fits = given + b" " * (most - len(given))
    assert world.send(route, fits).status == 200
    assert world.send(route, fits + b" ").status == 413
