"""What callers ask of the way an answer is sent: not again, compressed, under their name; the same on both paths."""

import gzip
import json
from collections.abc import Iterator

import pytest

from activation.api.delivery import takes_gzip
from tests.contracts.server import Answer, ApiServer

PATHS = ("/v1/activation", "/v2/activation")
SMALL, LARGE = "small@example.com", "large@example.com"


@pytest.fixture(autouse=True)
def profiles(server: ApiServer) -> Iterator[None]:
    keys = {each: server.key("main", "user", "email", each) for each in (SMALL, LARGE)}
    server.redis.hset(keys[SMALL], "view", '{"A":1.10}')
    server.redis.hset(keys[LARGE], "view", json.dumps({f"TRAIT_{n}": n for n in range(200)}))
    yield
    server.redis.delete(*keys.values())


def fetch(server: ApiServer, email: str, path: str = PATHS[1], token: str = "admin", **headers: str) -> Answer:
    asked = {
        "entity": "user",
        "destinationId": server.destinations["main"][1],
        "id": {"type": "email", "value": email},
    }
    return server.call("POST", path, asked, token=token, headers={n.replace("_", "-"): v for n, v in headers.items()})


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_the_caller_has_is_not_sent_again(server: ApiServer, path: str):
    first = fetch(server, SMALL, path)
    tag = first.headers["etag"]

    for names in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = fetch(server, SMALL, path, If_None_Match=names)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
    assert fetch(server, SMALL, path, If_None_Match='"other"').body == first.body

    server.redis.hset(server.key("main", "user", "email", SMALL), "view", '{"A":2}')
    changed = fetch(server, SMALL, path, If_None_Match=tag)
    assert (changed.status, changed.json["data"]) == (200, {"view": {"A": 2}})
    assert changed.headers["etag"] != tag


def test_a_large_answer_is_compressed_for_who_asks(server: ApiServer):
    plain = fetch(server, LARGE)
    packed = fetch(server, LARGE, Accept_Encoding="br;q=1, gzip;q=0.5")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] == packed.headers["etag"]
    assert "content-encoding" not in plain.headers
    assert fetch(server, LARGE, Accept_Encoding="gzip", If_None_Match=plain.headers["etag"]).status == 304


def test_a_small_answer_is_never_compressed(server: ApiServer):
    small = fetch(server, SMALL, Accept_Encoding="gzip")
    assert "content-encoding" not in small.headers
    assert small.json["data"] == {"view": {"A": 1.10}}


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        *(("gzip", True), ("GZIP", True), ("*", True), ("br, gzip;q=0.1", True), ("gzip ; q=1", True)),
        *(("", False), ("br", False), ("gzip;q=0", False), ("*;q=1, gzip;q=0", False), ("gzip;q=x", False)),
    ],
)
def test_gzip_is_taken_by_name_or_as_any(header: str, takes: bool):
    assert takes_gzip(header) is takes


@pytest.mark.parametrize("token", ["admin", "expired", "limited"])
def test_an_answer_carries_the_name_of_its_request(server: ApiServer, token: str):
    assert fetch(server, SMALL, token=token, X_Request_ID="a-name/of:1").headers["x-request-id"] == "a-name/of:1"
    assert "x-request-id" not in fetch(server, SMALL, token=token).headers
    for odd in ("", "two words", "x" * 129, "ä"):
        assert "x-request-id" not in fetch(server, SMALL, token=token, X_Request_ID=odd).headers


def test_a_token_with_a_rate_is_told_where_it_stands(server: ApiServer):
    # It may call once in a thousand seconds, in each process.
    answers = [fetch(server, SMALL, token="slow") for _ in range(20)]
    refused = next(answer for answer in answers if answer.status == 429)

    assert refused.headers["ratelimit-limit"] == "0.001"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert 0 < int(refused.headers["ratelimit-reset"]) <= 1_000
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert "ratelimit-limit" not in fetch(server, SMALL).headers
