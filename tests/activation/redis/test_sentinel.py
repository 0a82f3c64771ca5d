"""Sentinel: the primary is asked for, checked and followed, by readers and by writers, through real failovers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from activation.engine.connection import RedisSettings, SettingsInvalid
from activation.engine.errors import (
    DestinationAddressRefused,
    DestinationBusy,
    DestinationError,
    DestinationMisconfigured,
    DestinationRefused,
    DestinationUnreachable,
)
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, Loader
from activation.engine.rows import Rows
from activation.engine.store import Store
from config.embedded import EmbeddedServer
from tests.activation.redis.conftest import ACL_PASSWORD, Place
from tests.activation.redis.test_probe import failure_of, steps_of
from tests.sentinels import SENTINEL_PASSWORD, SERVICE, SentinelService

KEY = "ws:dest:user:email:jane@example.com"
CLAIM = Claim("run", 1, 0, 1)
KEYS = [f"{KEY}{number}" for number in range(500)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SentinelService]:
    """A service of a test's own, to break."""
    with SentinelService(tmp_path) as service:
        yield service


def persist(attempt: Callable[[], object]) -> None:
    """Repeat what cannot be done for the moment, as a run's worker does."""
    deadline = time.monotonic() + 5.0
    while True:
        try:
            attempt()
        except DestinationError as error:
            if not error.transient or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def open_store(settings: RedisSettings, **options: object) -> Store:
    return Store(settings, **{"allow_private": True, **options})  # type: ignore[arg-type]  # by name


def open_loader(settings: RedisSettings) -> Loader:
    return Loader(
        settings, Bookkeeping("ws", "dest", "src"), "view", allow_private=True, pauses=(), command_timeout=2.0
    )


def test_reads_find_the_new_primary_within_a_second(service: SentinelService):
    with service.servers[service.primary()].client() as client:
        client.execute_command("HSET", KEY, "view", '"jane"')
        client.execute_command("WAIT", 1, 2_000)
    store = open_store(service.settings())
    assert store.read(KEY) == {"view": b'"jane"'}
    outcomes: list[tuple[float, str]] = []
    with reading(store, outcomes):
        follower = service.kill_primary()
        service.wait(lambda: service.is_primary(follower))
        promoted_at = time.monotonic()
        service.wait(lambda: answered_again(outcomes))
    store.close()

    assert {outcome for _, outcome in outcomes} == {"found", "transient"}
    # In reads, of which a second has a hundred at most: on a busy machine the clock tells of others.
    assert [outcome for at, outcome in outcomes if at > promoted_at].count("transient") < 100


def answered_again(outcomes: list[tuple[float, str]]) -> bool:
    """Tell whether reads failed, and the last fifty of them were answered."""
    results = [outcome for _, outcome in outcomes]
    return "transient" in results and set(results[-50:]) == {"found"}


@contextmanager
def reading(store: Store, outcomes: list[tuple[float, str]]) -> Iterator[None]:
    """Read all the while, writing down when what came of it."""
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                outcome = "found" if store.read(KEY) else "empty"
            except DestinationError as error:
                outcome = "transient" if error.transient else error.code
            outcomes.append((time.monotonic(), outcome))
            time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()


def test_a_partition_whose_primary_failed_over_starts_again_on_the_new_one(service: SentinelService):
    with open_loader(service.settings()) as loader:
        loader.begin("run", 1, 1)
        with service.servers[service.primary()].client() as client:
            client.execute_command("WAIT", 1, 2_000)
        with loader.partition(CLAIM) as writer:
            writer.write(Rows.of(KEYS[:200], ["{}"] * 200, field=writer.field_of_commands))
            follower = service.kill_primary()
            with pytest.raises((DestinationUnreachable, DestinationBusy)) as caught:
                writer.write(Rows.of(KEYS[200:], ["{}"] * 300, field=writer.field_of_commands))
            assert caught.value.transient
        service.wait(lambda: service.is_primary(follower))
        persist(lambda: load_again(loader))
        loader.close_fences("run", 1, 1)
        loader.set_marker("run", base=None, witnesses={0: Claim("run", 1, 0, 2).text})

    with service.servers[follower].client() as client:
        assert len(list(client.scan_iter("ws:dest:user:*"))) == 500


def load_again(loader: Loader) -> None:
    loader.move_fence(Claim("run", 1, 0, 2))
    with loader.partition(Claim("run", 1, 0, 2)) as writer:
        assert writer.write(Rows.of(KEYS, ["{}"] * 500, field=writer.field_of_commands)).written == 500
        writer.witness()


def test_a_primary_that_lost_what_was_acknowledged_is_found_out(service: SentinelService):
    with open_loader(service.settings()) as loader:
        with service.replica_cut_off():
            loader.begin("run", 1, 1)
            with loader.partition(CLAIM) as writer:
                writer.write(Rows.of(KEYS, ["{}"] * 500, field=writer.field_of_commands))
                writer.witness()
            follower = service.kill_primary()
        service.wait(lambda: service.is_primary(follower))
        with pytest.raises(FenceMissing):
            persist(lambda: loader.set_marker("run", base=None, witnesses={0: CLAIM.text}))


def test_a_primary_that_was_demoted_is_no_longer_read(service: SentinelService):
    store = open_store(service.settings(), command_timeout=2.0)
    store.ping()
    new = service.demote()

    persist(store.ping)
    assert store._deployment.primaries()[0].endpoint.port == service.servers[new].port
    persist(lambda: store.delete([KEY]))
    store.close()


def test_a_sentinel_that_is_down_is_passed_over(sentinel_service: SentinelService, sentinel_place: Place):
    settings = sentinel_service.settings()
    silent = (("127.0.0.1", 1), *settings.addresses[1:])
    store = open_store(replace(settings, addresses=silent))

    assert store.read(KEY) == {}
    assert store._deployment._topology._sentinels[-1].endpoint.port == 1  # type: ignore[attr-defined]  # Sentinels
    store.close()


def test_what_sentinels_announce_passes_the_address_guard(sentinel_service: SentinelService, sentinel_place: Place):
    hidden = sentinel_service.servers[sentinel_service.primary()]
    store = open_store(sentinel_service.settings(), forbidden=[("127.0.0.1", hidden.port)])

    with pytest.raises(DestinationAddressRefused):
        store.read(KEY)
    step = failure_of(sentinel_service.settings(), forbidden=[("127.0.0.1", hidden.port)])
    assert step.name == "AUTH"


def test_the_test_tells_which_server_is_the_primary(sentinel_service: SentinelService, sentinel_place: Place):
    step = next(step for step in steps_of(sentinel_service.settings()) if step.name == "Cluster and role")

    assert (
        step.message
        == f"The primary of {SERVICE} is 127.0.0.1:{sentinel_service.servers[sentinel_service.primary()].port}, database 0."
    )


def test_what_is_wrong_with_sentinels_is_said(
    sentinel_service: SentinelService, sentinel_place: Place, valkey: EmbeddedServer
):
    settings = sentinel_service.settings()

    unknown = failure_of(replace(settings, sentinel_service="another"))
    assert (unknown.name, "no service called another" in unknown.message) == ("AUTH", True)
    assert "sentinel monitor" in unknown.cure
    for password in ("wrong", ""):
        refused = failure_of(replace(settings, sentinel_password=password))
        assert (refused.name, refused.cure) == ("AUTH", "Check Sentinel user and Sentinel password.")
    denied = failure_of(replace(settings, password="wrong"))
    assert (denied.name, "Check the password" in denied.cure) == ("AUTH", True)
    server = replace(settings, addresses=(("127.0.0.1", valkey.port),), sentinel_password=valkey.password)
    assert failure_of(server).cure == "Enter the addresses of the sentinels, or leave Sentinel service empty."
    sentinel = RedisSettings(addresses=settings.addresses[:1], password=SENTINEL_PASSWORD)
    assert failure_of(sentinel).cure == "Enter the name of its service under Sentinel service."


def test_a_primary_that_cannot_be_reached_is_told_apart_from_its_sentinels(service: SentinelService):
    service.servers[service.primary()].__exit__()

    step = failure_of(service.settings())

    assert (step.name, "sentinels name a primary that cannot be reached" in step.message) == ("AUTH", True)
    assert "announce" in step.cure


def test_the_rights_that_a_user_lacks_behind_sentinels_are_said_with_role(
    sentinel_service: SentinelService, sentinel_place: Place
):
    rights = ("on", ">" + ACL_PASSWORD, "~ws:dest:*", "+@read", "+@connection")
    sentinel_place.clients[0].execute_command("ACL", "SETUSER", "limited", "reset", *rights)

    step = failure_of(replace(sentinel_service.settings(), username="limited", password=ACL_PASSWORD))

    assert step.name == "Write, read and delete"
    assert step.cure.endswith("~ws:dest:* +@read +@write +@scripting +@connection +@transaction +role")


def test_readers_say_what_is_wrong_with_sentinels(sentinel_service: SentinelService, sentinel_place: Place):
    for change, error in (
        ({"sentinel_service": "another"}, DestinationMisconfigured),
        ({"sentinel_password": "wrong"}, DestinationRefused),
    ):
        with pytest.raises(error) as caught:
            open_store(replace(sentinel_service.settings(), **change)).read(KEY)  # type: ignore[arg-type]  # by name
        assert not caught.value.transient


def test_settings_of_sentinels_are_read_and_kept_out_of_the_repr():
    plain = {"address": "a:1,b:2", "sentinelService": " main ", "sentinelUsername": "watcher"}
    settings = RedisSettings.from_plain(plain, {"sentinelPassword": SENTINEL_PASSWORD, "password": "p"})

    assert (settings.sentinel_service, settings.sentinel_username) == ("main", "watcher")
    assert SENTINEL_PASSWORD not in repr(settings)
    assert settings.for_sentinels().password == SENTINEL_PASSWORD
    with pytest.raises(SettingsInvalid) as caught:
        RedisSettings.from_plain({**plain, "clusterMode": True}, {})
    assert set(caught.value.errors) == {"sentinelService", "sentinelPassword"}
