"""The walk through a destination's keys: complete on every kind of Redis, resumable, and slow enough for readers."""

from dataclasses import replace

import pytest

from activation.engine.errors import DestinationUnreachable
from activation.engine.keyspace import Pace, Page, Position, Walk
from activation.engine.reconcile import Field, Place, Sorted, Sorter
from tests.json_servers import KINDS, json_server

KEYS = {f"ws:dest:user:email:person{number}@example.com".encode() for number in range(1_500)}
PLACES = ["valkey_place", "redis_place", "acl_place", "redis_acl_place", "tls_place", "cluster_place"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


def fill(place, keys=KEYS):
    for key in keys:
        place.hset(key.decode(), "view", "{}")


def walk(place, prefix="ws:dest:", **options):
    return Walk(place.settings, prefix, allow_private=True, sleep=lambda _: None, **options)


def found(pages: list[Page]) -> dict[bytes, list[bytes] | None]:
    return {key: fields for page in pages for key, fields in page.keys}


def test_every_key_with_its_fields_is_found_and_none_of_others(place):
    fill(place)
    place.hset("ws:dest2:user:email:a", "view", "{}")
    place.hset("ws:dest:user:email:two", "view", "{}", "other", "{}")
    place.client_for("ws:dest:text").set("ws:dest:text", "x")
    place.client_for("ws:dest:huge").hset("ws:dest:huge", mapping={str(n): "" for n in range(1_001)})

    with walk(place) as walked:
        pages = list(walked.pages({}))
        assert {page.place for page in pages} == set(walked.places())

    everything = found(pages)
    assert everything.keys() == {*KEYS, b"ws:dest:user:email:two", b"ws:dest:text", b"ws:dest:huge"}
    assert all(everything[key] == [b"view"] for key in KEYS)
    assert sorted(everything[b"ws:dest:user:email:two"] or ()) == [b"other", b"view"]
    assert (everything[b"ws:dest:text"], everything[b"ws:dest:huge"]) == (None, None)


def test_it_goes_on_from_a_position_and_begins_anew_on_a_server_that_restarted(valkey_place):
    fill(valkey_place)
    with walk(valkey_place) as walked:
        pages = walked.pages({})
        first = next(pages)
        rest = list(walked.pages({first.place: first.position}))
        restarted = list(walked.pages({first.place: Position("another", first.position.cursor)}))
        over = list(walked.pages({first.place: replace(first.position, cursor="")}))

    assert 0 < len(found([first])) < len(KEYS)
    assert found([first, *rest]).keys() == KEYS
    assert found(rest).keys() != KEYS
    assert found(restarted).keys() == KEYS
    assert over == []


@pytest.mark.parametrize("ids", ["a*:b?", "[ab]:c^", "a\\:b-d"])
def test_ids_that_look_like_patterns_are_taken_literally(valkey_place, ids):
    valkey_place.hset(f"{ids}:user:email:a", "view", "{}")
    for other in ("axx:bb", "a:c^", "b:cc", "a:bd", "a\\\\:b-d"):
        valkey_place.hset(f"{other}:user:email:a", "view", "{}")

    with walk(valkey_place, f"{ids}:") as walked:
        assert list(found(list(walked.pages({})))) == [f"{ids}:user:email:a".encode()]


def test_a_slot_that_moves_shows_in_the_layout(cluster_place, cluster):
    fill(cluster_place)
    with walk(cluster_place) as walked:
        before = walked.layout()
        pages = walked.pages({})
        first = next(pages)
        for slot in range(3):
            cluster.move_slot(slot, to=1 if cluster.owner_of(slot) != 1 else 2)
        list(pages)
        assert walked.layout() != before
    assert first.keys is not None


def test_the_fields_of_documents_are_their_members(tmp_path):
    import redis

    from activation.engine.redis_settings import RedisSettings

    with json_server(KINDS[0], tmp_path) as (address, embedded):
        settings = RedisSettings.from_plain(
            {"address": address, "useJSONModule": True}, {"password": embedded.password}
        )
        host, port = address.split(":")
        with redis.Redis(host, int(port), password=embedded.password) as client:
            client.execute_command("JSON.SET", "ws:dest:user:email:a", "$", '{"view":{"A":1}}')
            client.hset("ws:dest:user:email:b", "view", "{}")
            client.execute_command("JSON.SET", "ws:dest:user:email:c", "$", "[1]")
        with Walk(settings, "ws:dest:", allow_private=True, sleep=lambda _: None) as walked:
            everything = found(list(walked.pages({})))

    assert everything == {
        b"ws:dest:user:email:a": [b"view"],
        b"ws:dest:user:email:b": None,
        b"ws:dest:user:email:c": None,
    }


def test_a_server_that_is_away_is_said(valkey_place):
    away = replace(valkey_place.settings, addresses=(("127.0.0.1", 1),))
    with Walk(away, "ws:dest:", allow_private=True) as walked, pytest.raises(DestinationUnreachable):
        list(walked.pages({}))


def test_bookkeeping_keys_are_removed_wherever_they_are(cluster_place):
    keys = [f"ws:dest:_activation:{{{tag}}}:{'2' * 27}:marker" for tag in range(20)]
    for key in keys:
        cluster_place.client_for(key).set(key, "run")
    with walk(cluster_place) as walked:
        assert walked.unlink(keys) == 20
        assert walked.unlink(keys) == 0


def test_steps_grow_until_they_take_some_milliseconds_and_a_rest_four_times_as_long_follows():
    rests: list[float] = []
    pace = Pace(0.2, away=0.05, sleep=rests.append)
    for _ in range(10):
        pace.stepped(0.0505)
    assert pace.count == 10_000
    pace.stepped(0.07)
    assert pace.count == 5_000
    pace.rest(0.01)
    assert rests == [pytest.approx(0.04)]


def test_a_key_is_only_ever_cut_after_an_exact_prefix():
    sorter = Sorter(
        "ws:dest:",
        [Field(1, b"ws:dest:user:email:", b"view"), Field(2, b"ws:dest:user:email:work:", b"by_work")],
        [Place("user", "email", b"ws:dest:user:email:"), Place("user", "email:work", b"ws:dest:user:email:work:")],
        ["1" * 27],
    )
    into = Sorted()
    sorter.sort(
        [
            (b"ws:dest:user:email:a:b{c}", [b"view"]),
            (b"ws:dest:user:email:work:x", [b"view", b"by_work", b"gone"]),
            (b"ws:dest:user:emails:x", [b"view"]),
            (b"ws:dest:_activation:{0}:" + b"1" * 27 + b":marker", None),
            (b"ws:dest:_activation:{0}:" + b"2" * 27 + b":marker", None),
            (b"ws:dest:_activation:probe:1", None),
        ],
        into,
    )

    assert into.ids == {1: ["a:b{c}", "work:x"], 2: ["x"]}
    assert into.unclaimed == {("user", "email:work", "gone"): 1, ("", "", "view"): 1}
    assert into.bookkeeping == [f"ws:dest:_activation:{{0}}:{'2' * 27}:marker"]
    assert into.keys == 3
