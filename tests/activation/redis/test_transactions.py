"""Chunks written in transactions: where they are used, and that a fence that moves at any moment keeps a chunk out whole."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from activation.engine import partition_writer
from activation.engine.channel import Channel
from activation.engine.chunks import CHUNK_COMMANDS
from activation.engine.errors import DestinationError
from activation.engine.loader import Claim, FenceMissing, FenceMoved, Loader
from activation.engine.readers import Readers
from activation.engine.rows import Rows
from activation.engine.transactions import _Usual
from tests.activation.redis.conftest import ACL_PASSWORD, ACL_USER, Place, one_server
from tests.activation.redis.test_loader import CLAIM, RUN, VIEW, open_loader

KEYS = [f"ws:dest:user:email:{number}" for number in range(2 * CHUNK_COMMANDS + 50)]
BEFORE, AFTER = {VIEW.encode(): b'{"A":1}'}, {VIEW.encode(): b'{"A":2}'}


@pytest.fixture
def loader(valkey_place: Place) -> Iterator[Loader]:
    with open_loader(valkey_place.settings) as loader:
        loader.begin(RUN, 1, 4)
        load(loader, '{"A":1}')
        yield loader


def load(loader: Loader, value: str, claim: Claim = CLAIM) -> int:
    with loader.partition(claim) as writer:
        return writer.write(Rows.of(KEYS, [value] * len(KEYS), field=writer.field_of_commands)).written


def calls(place: Place, command: str) -> int:
    statistics = [client.info("commandstats") for client in place.clients]
    return sum(found.get(f"cmdstat_{command}", {}).get("calls", 0) for found in statistics)


@pytest.fixture(autouse=True)
def nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have chunks as large as they are where nobody reads: what tests look at would count."""

    class Nobody(Readers):
        def are_at(self, _: object) -> bool:
            return False

    monkeypatch.setattr(partition_writer, "_READERS", Nobody())


def before(monkeypatch: pytest.MonkeyPatch, words: tuple[bytes, ...], nth: int, act: Callable[[], object]) -> None:
    """Have something happen right before the nth packet is sent that has one of some words near its beginning."""
    send, seen = Channel.send, 0

    def sending(channel: Channel, packed: Sequence[bytes | memoryview], *, commands: int = 1) -> None:
        nonlocal seen
        if any(word in bytes(packed[0][:60]) for word in words):
            seen += 1
            if seen == nth:
                act()
        send(channel, packed, commands=commands)

    monkeypatch.setattr(Channel, "send", sending)


def test_they_are_used_where_the_server_and_the_user_let_us(place):
    for client in place.clients:
        client.config_resetstat()
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 4)
        assert load(loader, "{}") == len(KEYS)

    by_script = place.settings.cluster_mode or place.settings.username == ACL_USER
    assert bool(calls(place, "evalsha")) is by_script
    assert (calls(place, "exec") >= 3) is not by_script
    assert len(place.profiles()) == len(KEYS)


HSET, FENCE, WRITE = (b"\nHSET\r",), (b"\nWATCH\r",), (b"\nHSET\r", b"\nEVALSHA\r")


@pytest.mark.parametrize(("words", "nth", "chunks"), [(HSET, 1, 0), (HSET, 2, 1), (HSET, 3, 2), (FENCE, 2, 0)])
def test_a_fence_that_moves_meanwhile_keeps_the_chunk_out(valkey_place, loader, monkeypatch, words, nth, chunks):
    with open_loader(valkey_place.settings) as other:
        before(monkeypatch, words, nth, lambda: other.move_fence(Claim(RUN, 1, 0, 2)))
        with pytest.raises(FenceMoved):
            load(loader, '{"A":2}')

    written = chunks * CHUNK_COMMANDS
    found = valkey_place.profiles()
    assert [found[key] for key in KEYS] == [AFTER] * written + [BEFORE] * (len(KEYS) - written)


def test_a_server_that_is_emptied_meanwhile_is_noticed(valkey_place, loader, monkeypatch):
    before(monkeypatch, HSET, 2, valkey_place.clients[0].flushall)

    with pytest.raises(FenceMissing):
        load(loader, '{"A":2}')
    assert valkey_place.profiles() == {}


def test_another_partitions_fence_may_move_meanwhile(valkey_place, loader, monkeypatch):
    valkey_place.clients[0].config_resetstat()
    with open_loader(valkey_place.settings) as other:
        before(monkeypatch, HSET, 2, lambda: other.move_fence(Claim(RUN, 1, 3, 2)))
        assert load(loader, '{"A":2}') == len(KEYS)

    assert set(map(str, valkey_place.profiles().values())) == {str(AFTER)}
    assert calls(valkey_place, "evalsha") <= 2  # the one chunk that was kept out, which the server had to be taught


@pytest.fixture
def limited(valkey_place: Place, valkey: object) -> Iterator[tuple[Callable[..., None], Loader]]:
    """A Redis user whose rights are as a test sets them, and what writes as that user."""
    client: redis.Redis = valkey_place.clients[0]

    def allow(*rights: str) -> None:
        user = ("reset", "on", ">" + ACL_PASSWORD, "~ws:dest:*", "+@connection", "+@read", "+@write", "+@scripting")
        client.execute_command("ACL", "SETUSER", "limited", *user, *rights)

    allow("+@transaction")
    address = valkey_place.settings.addresses[0]
    place = one_server(client, f"{address[0]}:{address[1]}", username="limited", password=ACL_PASSWORD)
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 4)
        yield allow, loader
    client.execute_command("ACL", "DELUSER", "limited")


@pytest.mark.parametrize("rights", [(), ("+watch",), ("+multi",), ("+multi", "+exec"), ("+watch", "+exec", "+unwatch")])
def test_a_user_without_all_of_the_rights_writes_by_script(valkey_place, limited, rights):
    allow, loader = limited
    allow(*rights)
    assert load(loader, '{"A":2}') == len(KEYS)
    assert len(valkey_place.profiles()) == len(KEYS)


@pytest.mark.parametrize("taken", ["-multi", "-watch", "-hget"])
def test_rights_that_are_taken_away_meanwhile_open_no_way_past_the_fence(valkey_place, limited, monkeypatch, taken):
    allow, loader = limited
    with open_loader(valkey_place.settings) as other:
        # The first is the look whether they are possible.
        before(monkeypatch, FENCE, 2, lambda: allow("+@transaction", taken))
        before(monkeypatch, WRITE, 1, lambda: other.move_fence(Claim(RUN, 1, 0, 2)))
        with pytest.raises((FenceMoved, DestinationError)):
            load(loader, '{"A":2}')
    assert valkey_place.profiles() == {}


def test_a_chunk_that_does_not_fit_goes_in_once_there_is_room(redis_place: Place, monkeypatch: pytest.MonkeyPatch):
    client = redis_place.clients[0]
    with open_loader(redis_place.settings, pauses=(0.0,)) as loader:
        loader.begin(RUN, 1, 4)
        client.config_set("maxmemory-policy", "noeviction")
        with loader.partition(CLAIM) as writer:
            client.config_set("maxmemory", 1)
            monkeypatch.setattr(loader._deployment, "refresh", lambda: client.config_set("maxmemory", 0))  # time passes
            report = writer.write(Rows.of(KEYS, ["{}"] * len(KEYS), field=writer.field_of_commands))
            assert report.written == len(KEYS)
            writer.witness()
    assert len(redis_place.profiles()) == len(KEYS)


@given(st.data(), st.integers(1, 30), st.booleans())
def test_replies_are_as_usual_or_looked_at_one_by_one(data: st.DataObject, count: int, last: bool):
    opened = b"" if last else b"+OK\r\n$9\r\nrun1:10:1\r\n+OK\r\n"
    usual = _Usual(count, opened)
    numbers = data.draw(st.lists(st.sampled_from([b":0\r\n", b":1\r\n"]), min_size=count, max_size=count))
    replies = bytearray(b"+QUEUED\r\n" * count + b"*%d\r\n" % count + b"".join(numbers) + opened)
    assert len(replies) == usual.size
    assert usual.fits(replies[: data.draw(st.integers(0, len(replies)))])

    place = data.draw(st.integers(0, len(replies) - 1))
    value = data.draw(st.integers(0, 255))
    meant = replies[place]
    replies[place] = value
    start = len(b"+QUEUED\r\n" * count + b"*%d\r\n" % count)
    number = start <= place < start + 4 * count and meant in b"01" and value in b"01"
    assert usual.fits(replies) is (number or value == meant)
