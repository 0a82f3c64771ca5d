"""Bulk writes behind the fence, into every kind of destination, and what happens when a destination misbehaves."""

from collections.abc import Iterator

import pytest

from activation.engine import chunks, partition_writer
from activation.engine.connection import DestinationBusy, DestinationMisconfigured, DestinationRefused, RedisSettings
from activation.engine.errors import DestinationUnreachable, ScriptsRefused
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, FenceMoved, Loader
from activation.engine.slots import slot_of
from config.embedded import EmbeddedServer
from tests.activation.redis.conftest import ACL_PASSWORD, Place, one_server
from tests.redis_servers import DebianRedis, ValkeyCluster

RUN, LATER_RUN = "2run", "3run"
VIEW = "features_by_email"
CLAIM = Claim(RUN, run_attempt=1, partition=0, partition_attempt=1)
KEYS = [f"ws:dest:user:email:{{person}} {number} ü@example.com" for number in range(450)]
KEYS[1::2] = [f"ws:dest:user:email:person{number}@example.com" for number in range(1, 450, 2)]
VALUES = [f'{{"N":{number},"Ü":"ü"}}' for number in range(450)]
NAMES = "ws:dest:_activation:"


def open_loader(settings: RedisSettings, source: str = "src", **options: object) -> Loader:
    wanted = {"allow_private": True, "pauses": (), "connect_timeout": 2.0, "command_timeout": 5.0, **options}
    return Loader(settings, Bookkeeping("ws", "dest", source), VIEW, **wanted)  # type: ignore[arg-type]  # by name


@pytest.fixture
def loader(place: Place) -> Iterator[Loader]:
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 4)
        yield loader


@pytest.fixture
def cluster_loader(cluster_place: Place) -> Iterator[Loader]:
    with open_loader(cluster_place.settings) as loader:
        loader.begin(RUN, 1, 4)
        yield loader


@pytest.fixture
def valkey_loader(valkey_place: Place) -> Iterator[Loader]:
    with open_loader(valkey_place.settings) as loader:
        loader.begin(RUN, 1, 4)
        yield loader


def kinds(place: Place) -> set[str]:
    return {key.rpartition(":")[2] for key in place.names() if key.startswith(NAMES)}


def test_rows_are_written_and_acknowledged_as_the_layout_says(place, loader):
    report = loader.write(CLAIM, KEYS, VALUES)

    assert (report.written, report.deleted, report.absent, report.failures) == (450, 0, 0, [])
    assert place.profiles() == {key: {VIEW.encode(): value.encode()} for key, value in zip(KEYS, VALUES, strict=True)}


def test_the_hosted_writers_test_case_is_written_byte_for_byte(place):
    row = '{"MODEL_ID":"1691755780","VALID_AT":"2023-08-11T11:32:44.963062Z","CHURN_SCORE_7_DAYS":0.027986}'
    key = "ws:dest:some-entity:some-id-type:some-user-id"
    with Loader(place.settings, Bookkeeping("ws", "dest", "src"), "some-model", allow_private=True) as loader:
        loader.begin(RUN, 1, 1)
        loader.write(CLAIM, [key.encode()], [row.encode()])

    assert place.profiles()[key] == {b"some-model": row.encode()}


def test_a_missing_value_deletes_the_field_and_leaves_other_fields(place, loader):
    loader.write(CLAIM, KEYS, VALUES)
    place.hset(KEYS[0], "another_view", "{}")

    report = loader.write(CLAIM, [*KEYS[:300], "ws:dest:nobody"], [None, VALUES[1], *[None] * 299])

    assert (report.written, report.deleted, report.absent) == (1, 300, 1)
    left = place.profiles()
    assert left.pop(KEYS[0]) == {b"another_view": b"{}"}
    assert set(left) == {KEYS[1], *KEYS[300:]}


def test_writing_a_chunk_twice_is_harmless(place, loader):
    loader.write(CLAIM, KEYS, VALUES)
    before = place.profiles()

    assert loader.write(CLAIM, KEYS, VALUES).written == 450
    assert place.profiles() == before


def test_nothing_to_write_asks_nothing(loader):
    report = loader.write(CLAIM, [], [])

    assert (report.written, report.deleted, report.failures) == (0, 0, [])


def test_a_worker_whose_fence_moved_writes_nothing_when_it_wakes(place, loader):
    loader.write(CLAIM, KEYS, VALUES)
    before = place.profiles()
    assert loader.move_fence(Claim(RUN, 1, 0, 2))

    with pytest.raises(FenceMoved):
        loader.write(CLAIM, KEYS, ["{}"] * len(KEYS))
    with pytest.raises(FenceMoved):
        loader.write(CLAIM, KEYS, [None] * len(KEYS))
    assert place.profiles() == before
    assert loader.write(Claim(RUN, 1, 0, 2), KEYS[:1], ["{}"]).written == 1
    assert loader.write(Claim(RUN, 1, 1, 1), KEYS[:1], ["{}"]).written == 1


def test_a_fence_never_moves_back(loader):
    assert loader.move_fence(Claim(RUN, 1, 0, 3))

    assert not loader.move_fence(Claim(RUN, 1, 0, 2))
    assert not loader.move_fence(Claim(RUN, 2, 0, 9))
    assert not loader.move_fence(Claim(LATER_RUN, 1, 0, 9))
    assert not loader.move_fence(Claim(RUN, 1, 4, 2))
    assert loader.move_fence(Claim(RUN, 1, 0, 3))
    assert loader.write(Claim(RUN, 1, 0, 3), KEYS[:1], ["{}"]).written == 1


def test_nobody_writes_behind_closed_fences(place, loader):
    loader.close_fences(RUN, 2, 4)
    assert loader.write(CLAIM, KEYS[:1], ["{}"]).written == 1
    loader.close_fences(RUN, 1, 4)

    for claim in (CLAIM, Claim(RUN, 1, 3, 1)):
        with pytest.raises(FenceMoved):
            loader.write(claim, KEYS, VALUES)
        assert not loader.move_fence(claim)
    assert set(place.profiles()) == {KEYS[0]}


def test_a_later_attempt_of_the_run_takes_the_fences_over(loader):
    loader.begin(RUN, 2, 6)

    with pytest.raises(FenceMoved):
        loader.write(CLAIM, KEYS, VALUES)
    with pytest.raises(FenceMoved):
        loader.begin(RUN, 1, 4)
    assert loader.write(Claim(RUN, 2, 5, 1), KEYS, VALUES).written == 450


def test_beginning_twice_leaves_moved_fences_where_they_are(loader):
    loader.move_fence(Claim(RUN, 1, 0, 2))
    loader.begin(RUN, 1, 4)

    with pytest.raises(FenceMoved):
        loader.write(CLAIM, KEYS, VALUES)


def test_sources_of_one_destination_do_not_share_fences(place, loader):
    with open_loader(place.settings, source="another") as another:
        another.begin(LATER_RUN, 1, 4)
        another.set_marker(LATER_RUN, base=None, witnesses={})
        another.finish(LATER_RUN)

    assert loader.write(CLAIM, KEYS, VALUES).written == 450
    assert loader.marker() is None


def test_a_destination_that_was_emptied_is_noticed_by_the_next_chunk(place, loader):
    loader.write(CLAIM, KEYS, VALUES)
    place.flush()

    with pytest.raises(FenceMissing):
        loader.write(CLAIM, KEYS, VALUES)
    assert place.names() == set()
    assert not loader.run_key_present(RUN)
    assert not loader.move_fence(Claim(RUN, 1, 0, 2))
    with pytest.raises(FenceMissing):
        loader.set_marker(RUN, base=None, witnesses={})


def test_a_finished_run_leaves_its_marker_only(place, loader):
    assert loader.run_key_present(RUN)
    assert not loader.run_key_present(LATER_RUN)
    assert loader.marker() is None
    assert kinds(place) == {"fence", "run"}

    loader.set_marker(RUN, base=None, witnesses={})
    loader.finish(LATER_RUN)
    assert kinds(place) == {"fence", "run", "marker"}
    loader.finish(RUN)

    assert loader.marker() == RUN
    assert kinds(place) == {"marker"}
    with pytest.raises(FenceMissing):
        loader.write(CLAIM, KEYS, VALUES)


def test_a_key_of_another_kind_is_a_row_fault_and_the_others_are_written(place, loader):
    for position in (3, 222):
        place.client_for(KEYS[position]).set(KEYS[position], "somebody's")

    report = loader.write(CLAIM, KEYS, VALUES)

    assert report.failures == [(3, "wrong_type"), (222, "wrong_type")]
    assert report.written == 448
    report = loader.write(CLAIM, KEYS, [None] * len(KEYS))
    assert report.failures == [(3, "wrong_type"), (222, "wrong_type")]
    assert report.deleted == 448


def test_a_value_that_is_too_large_is_a_row_fault(place, loader, monkeypatch):
    monkeypatch.setattr(partition_writer, "LARGEST_VALUE", 5_000)

    report = loader.write(CLAIM, KEYS[:3], [VALUES[0], "x" * 5_001, VALUES[2]])

    assert (report.written, report.failures) == (2, [(1, "too_large")])


def test_large_values_make_small_chunks(place, loader, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1_000)

    assert loader.write(CLAIM, KEYS, ["x" * 400] * len(KEYS)).written == 450


def test_a_server_out_of_memory_is_transient_and_repeated_for_a_while(place, valkey_place, valkey_loader):
    client = valkey_place.clients[0]
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    with pytest.raises(DestinationBusy) as caught:
        valkey_loader.write(CLAIM, KEYS, VALUES)
    assert (caught.value.code, caught.value.transient) == ("oom", True)
    assert valkey_loader.write(CLAIM, KEYS[:1], [None]).deleted == 1

    with open_loader(valkey_place.settings, pauses=(0.01, 0.01)) as patient:
        patient._deployment.refresh = lambda: client.config_set("maxmemory", 0)  # type: ignore[method-assign]  # time passes
        assert patient.write(CLAIM, KEYS, VALUES).written == 450


def test_rows_stay_with_their_keys_when_a_whole_cluster_is_out_of_memory_for_a_while(cluster_place, cluster_loader):
    def set_limit(limit: int) -> None:
        for client in cluster_place.clients:
            client.config_set("maxmemory", limit)

    set_limit(1)
    cluster_loader._pauses = (0.01,)
    cluster_loader._deployment.refresh = lambda: set_limit(0)

    assert cluster_loader.write(CLAIM, KEYS, VALUES).written == 450
    assert cluster_place.profiles() == {
        key: {VIEW.encode(): value.encode()} for key, value in zip(KEYS, VALUES, strict=True)
    }


def test_a_broken_connection_is_transient_and_not_repeated(tmp_path):
    with EmbeddedServer(tmp_path) as server:
        settings = RedisSettings.from_plain({"address": server.address}, {"password": server.password})
        loader = open_loader(settings, pauses=(60.0,))
        loader.begin(RUN, 1, 1)
        server.kill()
        with pytest.raises(DestinationUnreachable):
            loader.write(CLAIM, KEYS, VALUES)
        server.start()
        with pytest.raises(FenceMissing):
            loader.write(CLAIM, KEYS, VALUES)
        loader.close()


def test_a_replica_is_transient_because_a_failover_may_be_under_way(debian_redis: DebianRedis, redis_place: Place):
    with open_loader(redis_place.settings) as loader:
        loader.begin(RUN, 1, 1)
        redis_place.clients[0].execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(DestinationBusy) as caught:
                loader.write(CLAIM, KEYS, VALUES)
        finally:
            redis_place.clients[0].execute_command("REPLICAOF", "NO", "ONE")
    assert caught.value.code == "readonly"


def test_scripts_that_a_server_forgot_are_loaded_again(place, loader):
    loader.write(CLAIM, KEYS, VALUES)
    for client in place.clients:
        client.script_flush()

    assert loader.write(CLAIM, KEYS, VALUES).written == 450


@pytest.mark.parametrize(
    ("rights", "error", "code"),
    [
        (["+@read", "+@write", "-@scripting"], ScriptsRefused, "scripts_refused"),
        (["+@read", "+@scripting", "+set", "+hdel"], DestinationRefused, "noperm"),
    ],
)
def test_missing_rights_are_terminal_and_named(valkey_loader, valkey_place, valkey, rights, error, code):
    user = "limited"
    valkey_place.clients[0].execute_command(
        "ACL", "SETUSER", user, "reset", "on", ">" + ACL_PASSWORD, "~ws:dest:*", "+@connection", *rights
    )
    settings = one_server(valkey_place.clients[0], valkey.address, username=user, password=ACL_PASSWORD).settings

    with open_loader(settings) as limited, pytest.raises(error) as caught:
        limited.write(CLAIM, KEYS, VALUES)
    assert (caught.value.code, caught.value.transient) == (code, False)
    assert valkey_place.profiles() == {}


@pytest.mark.parametrize("kind", ["acl_place", "redis_acl_place"])
def test_keys_outside_the_users_rights_are_terminal(request: pytest.FixtureRequest, kind: str):
    with open_loader(request.getfixturevalue(kind).settings) as loader:
        loader.begin(RUN, 1, 1)
        with pytest.raises(DestinationRefused) as caught:
            loader.write(CLAIM, ["elsewhere:jane@example.com"], ["{}"])
    assert caught.value.code == "noperm"
    assert "jane" not in str(caught.value)


def test_a_slot_that_moved_meanwhile_is_found_at_its_new_owner(cluster: ValkeyCluster, cluster_place, cluster_loader):
    cluster_loader.write(CLAIM, KEYS, VALUES)
    slot = slot_of(KEYS[1])
    cluster.move_slot(slot, to=(cluster.owner_of(slot) + 1) % 3)

    with pytest.raises(DestinationBusy) as caught:
        cluster_loader.write(CLAIM, KEYS, ["{}"] * len(KEYS))
    assert caught.value.code == "nonlocal"
    with open_loader(cluster_place.settings, pauses=(0.0,)) as another:
        another._deployment._topology = cluster_loader._deployment._topology
        assert another.write(CLAIM, KEYS, ["{}"] * len(KEYS)).written == 450
    assert set(map(str, cluster_place.profiles().values())) == {str({VIEW.encode(): b"{}"})}


def test_a_fence_that_moved_house_still_holds(cluster: ValkeyCluster, cluster_place, cluster_loader):
    fences = {key for key in cluster_place.names() if key.endswith(":fence")}
    assert len(fences) == 256
    moved = sorted(fences)[:4]
    for key in moved:
        cluster.move_slot(slot_of(key), to=(cluster.owner_of(slot_of(key)) + 1) % 3)

    with open_loader(cluster_place.settings, pauses=(0.01,)) as another:
        assert another.write(CLAIM, KEYS, VALUES).written == 450
        assert another.move_fence(Claim(RUN, 1, 0, 2))
    cluster_loader._deployment.refresh()
    with pytest.raises(FenceMoved):
        cluster_loader.write(CLAIM, KEYS, VALUES)


def test_one_emptied_primary_of_a_cluster_is_noticed(cluster_place, cluster_loader):
    cluster_loader.set_marker(RUN, base=None, witnesses={})
    assert cluster_loader.marker() == RUN
    cluster_place.clients[1].flushall()

    assert cluster_loader.marker() is None
    assert not cluster_loader.run_key_present(RUN)
    with pytest.raises(FenceMissing):
        cluster_loader.write(CLAIM, KEYS, VALUES)


def test_ids_with_braces_cannot_be_spread_over_a_cluster(cluster_place):
    with pytest.raises(DestinationMisconfigured):
        Loader(cluster_place.settings, Bookkeeping("w{s}", "dest", "src"), VIEW, allow_private=True)
