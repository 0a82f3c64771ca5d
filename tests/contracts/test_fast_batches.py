"""What the thin path answers to a batch is what the framework answers, to the byte."""

import json

import pytest
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import PersonalAccessToken
from accounts.roles import Role
from activation import handles, usage
from activation.api.profiles import BatchView
from activation.models import DeletedProfilesPolicy, RedisDestination, Source, SyncRun
from config import wsgi
from tests.activation.test_suppressions import activation_of
from tests.contracts.test_never_a_server_error import anything, numbers, texts

PATH = "/v2/activation/batch"
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MIXED = [
    "found",
    "nobody",
    "found",
    7,
    -0,
    2**64 - 1,
    2**70,
    1.5,
    True,
    None,
    "",
    " ",
    'a"\\ä\x00😀',
    "text",
    "x" * 1024,
    "x" * 1025,
]


@pytest.fixture
def people(world):
    world.client.hset(
        world.key("found"), mapping={"b:C": '{"x":1.10, "y":"\\ud800"}', "a": '{"P":1,"Q":2}', "bad": "{"}
    )
    world.client.hset(world.key("7"), "a", '{"Q":1E400}')
    world.client.set(world.key("text"), "somebody else's")
    return world


@pytest.fixture
def source(world):
    """A source that synced `a`, and ids of which are trimmed and lower-cased."""
    activation = activation_of(world.destination, DeletedProfilesPolicy.STAY_DELETED)
    names = {"entity": "user", "id_type": "email", "feature_view": "a", "normalisation": ["trim", "lower"]}
    return Source.objects.create(activation=activation, destination=world.destination, **names)


def test_a_batch_never_sees_the_framework(people):
    assert not people.left_to_the_framework(people.batch("found", "nobody"), path=PATH)

    answer = people.ask(people.fast, people.batch("found", "nobody"), path=PATH)
    assert answer.body == (
        b'{"entity":"user","results":['
        b'{"id":{"type":"email","value":"found"},"status":"found",'
        b'"data":{"b:C":{"x":1.10, "y":"\\ud800"},"a":{"P":1,"Q":2}}},'
        b'{"id":{"type":"email","value":"nobody"},"status":"not_found","data":{}}]}'
    )
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


OPTIONS = {
    "nothing": {},
    "views": {"views": ["a", "unknown"]},
    "no views": {"views": []},
    "traits": {"traits": {"a": ["P"]}},
    "freshness": {"include": ["freshness"], "maxAgeSeconds": 5},
    "what nobody knows": {"more": [1], "id": 1e400},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_whatever_a_batch_asks_for_is_answered_alike(people, source, options):
    source.base_run = SyncRun.objects.create(source=source, finished_at="2026-01-01T00:00Z")
    source.save()
    asked = json.dumps(people.batch(*MIXED, {"a": 1}, " Found ", "FOUND", **options)).replace("Infinity", "1e400")

    assert not people.left_to_the_framework(asked.encode(), path=PATH)

    results = people.ask(people.fast, asked.encode(), path=PATH).json["results"]
    assert len(results) == len(MIXED) + 3
    assert results[-1]["data"] == results[0]["data"]
    assert results[6]["id"]["value"] == 2**70
    assert [results[n]["status"] for n in (7, 8, 9, 10, 11, 15)] == ["invalid"] * 6


def test_a_batch_is_compressed_tagged_and_not_sent_again_alike(people):
    asked = people.batch(*["found"] * 50)
    tag = people.ask(people.fast, asked, path=PATH).headers["etag"]
    assert not people.left_to_the_framework(asked, path=PATH, HTTP_ACCEPT_ENCODING="gzip")
    assert not people.left_to_the_framework(asked, path=PATH, HTTP_IF_NONE_MATCH=tag)
    assert people.ask(people.fast, asked, path=PATH, HTTP_IF_NONE_MATCH=tag).status == 304


def test_the_largest_batch_is_answered_alike_and_larger_ones_are_left_to_the_framework(world):
    most = world.batch(*(f"{'x' * 900}{number}" for number in range(1_000)))
    assert not world.left_to_the_framework(most, path=PATH)
    assert world.left_to_the_framework({**most, "ids": [*most["ids"], most["ids"][0]]}, path=PATH)
    assert world.left_to_the_framework({**most, "more": "x" * 2_100_000}, path=PATH)


BODIES = {
    "no ids": {"ids": []},
    "no list": {"ids": {"type": "email", "value": "x"}},
    "an unknown destination": {"destinationId": "1WhcOCGgj9asZu850HvugU2C3Aq"},
    "no destination's id": {"destinationId": {}},
    "a blank entity": {"entity": " "},
    "the sync's own keys": {"entity": "_activation"},
    "a diagnosis": {"include": ["diagnosis"]},
    "an option that makes no sense": {"views": [1]},
}


@pytest.mark.parametrize("change", BODIES.values(), ids=BODIES)
def test_a_batch_that_is_refused_is_left_to_the_framework(world, change):
    assert world.left_to_the_framework(world.batch("x", **change), path=PATH)


@pytest.mark.parametrize(
    "how", [{"CONTENT_LENGTH": ""}, {"HTTP_TRANSFER_ENCODING": "chunked"}, {"HTTP_ACCEPT": "text/html"}], ids=str
)
def test_a_batch_that_came_in_an_unusual_way_is_left_to_the_framework(world, how):
    assert world.left_to_the_framework(world.batch("x"), path=PATH, **how)


@pytest.mark.parametrize(
    "change", [{"limits": {"entities": ["user"]}}, {"limits": {"rate": 100}}, {"role": Role.VIEWER}]
)
def test_a_batch_of_a_token_that_may_not_do_everything_is_left_to_the_framework(world, source, change):
    PersonalAccessToken.objects.update(**change)
    assert world.left_to_the_framework(world.batch("x"), path=PATH)


def test_a_batch_asks_nothing_of_our_database(people, django_assert_num_queries):
    people.ask(wsgi.lean, people.plain())
    with django_assert_num_queries(0):
        assert people.ask(people.fast, people.batch("found"), path=PATH).status == 200
    assert people.handler.requests == 0


def test_a_batch_that_no_server_answers_is_told_once(world):
    RedisDestination.objects.update(settings={"address": "127.0.0.1:1"}, version=F("version") + 1)
    handles.close()
    assert not world.left_to_the_framework(world.batch("x", "y"), path=PATH)
    assert world.ask(world.fast, world.batch("x"), path=PATH).json["code"] == "destination_unavailable"


def test_a_batch_counts_each_of_its_ids(people, source, monkeypatch):
    collector = usage.Collector()  # what other tests counted is of destinations that are gone
    for name in ("look_up", "delete", "write", "totals"):
        monkeypatch.setattr(usage, name, getattr(collector, name))
    handles.close()
    people.ask(wsgi.lean, people.plain())
    before = usage.totals()
    usage.write(now=source.created_at)

    people.ask(people.fast, people.batch("found", "nobody", "found", ""), path=PATH)

    usage.write(now=source.created_at)
    [counted] = [counts for kind, counts in usage.totals().items() if kind.destination == people.destination.public_id]
    assert {name: counted[name] for name in ("requests", "hits", "misses", "errors")} == {
        "requests": 4,
        "hits": 2,
        "misses": 2,
        "errors": 0,  # one of each by the plain read before
    }, before


@often
@given(body=st.binary(max_size=200))
def test_any_bytes_have_the_same_answer(world, body):
    framework, thin = world.both(body, path=PATH)
    assert thin == framework


items = anything | st.fixed_dictionaries(
    {}, optional={"type": texts | anything, "value": texts | numbers | anything, "more": anything}
)


@often
@given(
    ids=st.lists(items, max_size=4) | anything,
    more=st.dictionaries(texts, anything, max_size=1),
    ascii_only=st.booleans(),
)
def test_any_json_has_the_same_answer(world, ids, more, ascii_only):
    body = json.dumps({**world.batch(), "ids": ids, **more}, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    framework, thin = world.both(body, path=PATH)
    assert thin == framework


@often
@given(
    name=st.binary(max_size=10),
    value=st.binary(max_size=20)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.sampled_from(
        [b"NaN", b'{"a":1E400}', b'"\\ud800"', b" 1 ", b"01", b"1,2", b'"\t"', b"[" * 1030 + b"]" * 1030]
    ),
)
def test_anything_in_redis_is_the_same_in_a_batch_and_in_a_plain_read(world, name, value):
    world.client.delete(world.key("x"))
    world.client.hset(world.key("x"), mapping={name: value, b"good": b"{}"})
    assert not world.left_to_the_framework(world.batch("nobody", "x"), path=PATH)
    of_batch = world.ask(world.fast, world.batch("nobody", "x"), path=PATH).body
    data = world.ask(world.fast, world.plain()).body.partition(b'"data":')[2]
    assert of_batch.endswith(b'"status":"found","data":' + data + b"]}")


def test_all_that_the_framework_does_for_a_batch_is_known_to_the_thin_path():
    from accounts.authentication import TokenAuthentication
    from activation.api.requests import TokenRate

    assert BatchView.throttle_classes == (TokenRate,)
    assert (BatchView.authentication_classes, BatchView.permission_classes) == ([TokenAuthentication], [])
    assert BatchView().default_response_headers == {}
