"""Profiles as RedisJSON documents: written behind the fence, read like hashes, gone without a trace."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from activation.engine.documents import member_path, members
from activation.engine.errors import DestinationBusy, UnexpectedType
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, FenceMoved, Loader
from activation.engine.redis_settings import RedisSettings
from activation.engine.store import Store
from tests.activation.redis.conftest import Place
from tests.activation.redis.test_probe import failure_of, plain, steps_of
from tests.json_servers import KINDS, json_server

CLAIM = Claim("run", 1, 0, 1)
KEYS = [f"ws:dest:user:email:person{number}@example.com" for number in range(450)]
VALUES = [f'{{"N":{number},"Ü":"ü"}}' for number in range(450)]
NAMES = [
    "features_by_email",
    "WEB:FEATURES_BY_ANON",
    'it\'s "quoted"',
    "back\\slash",
    "a.b[0]*$@",
    "Ü 日本",
]


@dataclass
class Documents:
    """A server of documents, and a plain client of it."""

    settings: RedisSettings
    client: redis.Redis

    def document(self, key: str) -> Any:
        text = self.client.execute_command("JSON.GET", key)
        return None if text is None else json.loads(text)

    def loader(self, view: str = "view", **options: Any) -> Loader:
        wanted = {"allow_private": True, "pauses": (), "command_timeout": 5.0, **options}
        return Loader(self.settings, Bookkeeping("ws", "dest", "src"), view, **wanted)

    def store(self) -> Store:
        return Store(self.settings, allow_private=True, command_timeout=2.0)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, int]]:
    with json_server(request.param, tmp_path_factory.mktemp("json")) as (address, embedded):
        yield address, embedded.password, embedded.port


@pytest.fixture
def documents(server: tuple[str, str, int]) -> Iterator[Documents]:
    address, password, _ = server
    port = int(address.rpartition(":")[2])
    with redis.Redis(port=port, password=password, protocol=2) as client:
        client.response_callbacks.clear()
        client.execute_command("FLUSHALL")
        client.execute_command("CONFIG", "SET", "maxmemory", 0)
        yield Documents(plain(address, password, useJSONModule=True), client)


@pytest.fixture
def loader(documents: Documents) -> Iterator[Loader]:
    with documents.loader() as loader:
        loader.begin("run", 1, 2)
        yield loader


def test_the_connection_test_passes_and_leaves_nothing(documents: Documents):
    assert {step.state for step in steps_of(documents.settings)} == {"passed", "skipped"}
    assert documents.client.execute_command("KEYS", "*") == []


def test_a_server_without_json_commands_is_said(valkey_place: Place):
    settings = plain(valkey_place.settings.address, valkey_place.settings.password, useJSONModule=True)

    step = failure_of(settings)
    assert (step.name, step.message) == ("Write, read and delete", "This Redis has no JSON commands.")


def test_rows_become_documents_of_one_member(documents: Documents, loader: Loader):
    report = loader.write(CLAIM, KEYS, VALUES)

    assert (report.written, report.deleted, report.absent, report.failures) == (450, 0, 0, [])
    assert [documents.document(key) for key in KEYS] == [{"view": json.loads(value)} for value in VALUES]


def test_a_member_is_set_whole_and_others_are_left(documents: Documents, loader: Loader):
    documents.client.execute_command("JSON.SET", KEYS[0], "$", '{"another":{"A":1}}')
    loader.write(CLAIM, KEYS[:1], ['{"OLD":1,"GONE":2}'])
    loader.write(CLAIM, KEYS[:1], ['{"OLD":3}'])

    assert documents.document(KEYS[0]) == {"another": {"A": 1}, "view": {"OLD": 3}}


def test_the_last_member_takes_the_document_with_it(documents: Documents, loader: Loader):
    loader.write(CLAIM, KEYS[:3], VALUES[:3])
    with documents.loader("another") as another:
        another.write(CLAIM, KEYS[:1], ["{}"])

    report = loader.write(CLAIM, [*KEYS[:2], "ws:dest:nobody"], [None, None, None])

    assert (report.deleted, report.absent) == (3, 1)
    assert documents.document(KEYS[0]) == {"another": {}}
    assert documents.client.execute_command("EXISTS", KEYS[1], "ws:dest:nobody") == 0
    assert documents.document(KEYS[2]) == {"view": json.loads(VALUES[2])}


@pytest.mark.parametrize("name", NAMES)
def test_views_may_have_any_name(documents: Documents, name: str):
    with documents.loader(name) as loader:
        loader.begin("run", 1, 1)
        loader.write(CLAIM, KEYS[:2], ['{"A":1}', '{"A":2}'])
        loader.write(CLAIM, KEYS[:2], ['{"A":3}', None])
    store = documents.store()

    assert documents.document(KEYS[0]) == {name: {"A": 3}}
    assert store.read(KEYS[0]) == {name: b'{"A":3}'}
    assert store.read(KEYS[1]) == {}
    store.close()


def test_the_fence_holds_for_documents(documents: Documents, loader: Loader):
    loader.write(CLAIM, KEYS[:5], VALUES[:5])
    assert loader.move_fence(Claim("run", 1, 0, 2))
    for values in (["{}"], [None]):
        with pytest.raises(FenceMoved):
            loader.write(CLAIM, KEYS[:1], values)
    documents.client.execute_command("FLUSHALL")
    with pytest.raises(FenceMissing):
        loader.write(Claim("run", 1, 0, 2), KEYS[:1], ["{}"])

    assert documents.client.execute_command("KEYS", "*") == []


def test_what_is_no_document_of_ours_is_a_row_fault_and_the_others_are_written(documents: Documents, loader: Loader):
    documents.client.execute_command("HSET", KEYS[1], "view", "{}")
    documents.client.execute_command("JSON.SET", KEYS[2], "$", "[1]")
    documents.client.execute_command("SET", KEYS[3], "text")

    report = loader.write(CLAIM, KEYS[:5], VALUES[:5])
    assert (report.written, report.failures) == (2, [(number, "wrong_type") for number in (1, 2, 3)])
    report = loader.write(CLAIM, KEYS[:5], [None] * 5)
    assert (report.deleted, report.failures) == (2, [(number, "wrong_type") for number in (1, 2, 3)])
    assert documents.document(KEYS[2]) == [1]


def test_a_value_that_the_module_refuses_is_a_row_fault_and_leaves_no_empty_document(
    documents: Documents, loader: Loader
):
    report = loader.write(CLAIM, KEYS[:3], ["{}", "{nonsense", "{}"])

    assert (report.written, report.failures) == (2, [(1, "unencodable")])
    assert documents.client.execute_command("EXISTS", KEYS[1]) == 0


def test_a_full_server_is_transient_and_leaves_no_empty_document(documents: Documents, loader: Loader):
    documents.client.execute_command("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(DestinationBusy) as caught:
        loader.write(CLAIM, KEYS[:3], VALUES[:3])
    documents.client.execute_command("CONFIG", "SET", "maxmemory", 0)

    assert caught.value.code == "oom"
    assert documents.client.execute_command("EXISTS", *KEYS[:3]) == 0


@pytest.mark.parametrize("first", [True, False])
def test_hashes_and_documents_are_read_alike_whatever_the_settings_say(
    documents: Documents, loader: Loader, first: bool
):
    loader.write(CLAIM, KEYS[:1], ['{"A":1}'])
    documents.client.execute_command("HSET", KEYS[1], "view", '{"A":2}')
    documents.client.execute_command("SET", KEYS[2], "text")
    settings = plain(documents.settings.address, documents.settings.password, useJSONModule=first)
    store = Store(settings, allow_private=True, command_timeout=2.0)

    assert store.read_many([*KEYS[:2], "nobody"]) == [{"view": b'{"A":1}'}, {"view": b'{"A":2}'}, {}]
    for key in KEYS[:2]:
        assert list(store.read(key, ["missing", "view"])) == ["view"]
    with pytest.raises(UnexpectedType) as caught:
        store.read(KEYS[2])
    assert caught.value.__context__ is None
    assert store.delete(KEYS[:4]) == 3
    store.close()


def test_a_document_is_cut_without_changing_a_digit():
    text = ' { "a:b" : {"x": 1.10, "y":12345678901234567890123} ,"q\\"":[ ],"ü":"\\u00fc" } '

    assert members(text.encode(), "here") == {
        "a:b": b'{"x": 1.10, "y":12345678901234567890123}',
        'q"': b"[ ]",
        "ü": b'"\\u00fc"',
    }
    assert members(b"{}", "here") == {}


@pytest.mark.parametrize(
    "text", [b"[1]", b"1", b'"text"', b"", b'{"a"', b'{"a":1', b'{"a" 1}', b'{"a":1 "b":2}', b"\xff"]
)
def test_what_is_no_object_is_told_apart(text: bytes):
    with pytest.raises(UnexpectedType):
        members(text, "here")


def test_a_path_escapes_quote_and_backslash_only():
    assert member_path('a"b\\c.d') == '$["a\\"b\\\\c.d"]'
