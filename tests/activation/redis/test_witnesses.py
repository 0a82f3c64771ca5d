"""What a destination acknowledged and then lost is noticed: by the partition that writes, or before the marker is set.

A server that lost its last writes is played by a real one: it saves, takes more writes, is killed, and starts from what
it saved. The connections that a partition holds are real too, so a restart between two chunks breaks them.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from activation.engine.bookkeeping import FenceMissing, FenceMoved, WitnessMissing
from activation.engine.connection import DestinationBusy, RedisSettings
from activation.engine.errors import DestinationError, DestinationUnreachable
from activation.engine.loader import Claim, Loader, PartitionWriter
from activation.engine.rows import Rows
from activation.engine.slots import slot_of
from config.embedded import EmbeddedServer
from tests.activation.redis.conftest import Place
from tests.activation.redis.test_loader import CLAIM, KEYS, LATER_RUN, RUN, VALUES, kinds, open_loader
from tests.redis_servers import ValkeyCluster

BASE = "1run"
OTHER = Claim(RUN, run_attempt=1, partition=3, partition_attempt=1)
WITNESSES = {0: CLAIM.text, 3: OTHER.text}


def all_rows(writer: PartitionWriter) -> Rows:
    return Rows.of(KEYS, VALUES, field=writer.field_of_commands)


@pytest.fixture
def loader(place: Place) -> Iterator[Loader]:
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 4)
        yield loader


def load(loader: Loader, claim: Claim, keys: list[str] = KEYS) -> None:
    """Load a partition to its end."""
    with loader.partition(claim) as writer:
        writer.write(Rows.of(keys, VALUES[: len(keys)], field=writer.field_of_commands))
        writer.witness()


def finish_check(loader: Loader, base: str | None = None) -> None:
    loader.set_marker(RUN, base=base, witnesses=WITNESSES)


def test_a_run_whose_partitions_all_left_witnesses_is_marked(place, loader):
    load(loader, CLAIM)
    load(loader, OTHER, [])
    finish_check(loader)
    finish_check(loader)

    assert loader.marker() == RUN
    assert kinds(place) == {"fence", "run", "marker", "witness"}
    loader.finish(RUN)
    assert kinds(place) == {"marker"}


def test_partitions_without_their_witness_are_named_and_nothing_is_marked(place, loader):
    with pytest.raises(WitnessMissing) as caught:
        finish_check(loader)
    assert caught.value.partitions == {0, 3}

    load(loader, CLAIM)
    with loader.partition(OTHER) as writer:
        writer.write(all_rows(writer))
    with pytest.raises(WitnessMissing) as caught:
        finish_check(loader)
    assert caught.value.partitions == {3}
    assert loader.marker() is None
    assert "marker" not in kinds(place)


def test_one_missing_witness_of_one_tag_is_enough(place, loader):
    load(loader, CLAIM)
    load(loader, OTHER)
    name = max(key for key in place.names() if key.endswith(":witness"))
    place.client_for(name).hdel(name, "3")

    with pytest.raises(WitnessMissing) as caught:
        finish_check(loader)
    assert caught.value.partitions == {3}


def test_the_witness_of_an_earlier_attempt_proves_nothing(loader):
    load(loader, CLAIM)
    load(loader, OTHER)

    with pytest.raises(WitnessMissing) as caught:
        loader.set_marker(RUN, base=None, witnesses={**WITNESSES, 0: Claim(RUN, 1, 0, 2).text})
    assert caught.value.partitions == {0}


def test_an_attempt_of_the_run_begins_without_the_witnesses_of_the_one_before(place, loader):
    load(loader, CLAIM)
    loader.begin(RUN, 2, 4)

    assert "witness" not in kinds(place)


def test_a_worker_whose_fence_moved_leaves_no_witness(place, loader):
    with loader.partition(CLAIM) as writer:
        writer.write(all_rows(writer))
        assert loader.move_fence(Claim(RUN, 1, 0, 2))
        with pytest.raises(FenceMoved):
            writer.witness()
    place.flush()
    with loader.partition(CLAIM) as writer, pytest.raises(FenceMissing):
        writer.witness()


def test_nothing_follows_a_write_that_failed(loader):
    with loader.partition(CLAIM) as writer:
        loader.move_fence(Claim(RUN, 1, 0, 2))
        with pytest.raises(FenceMoved):
            writer.write(all_rows(writer))
        for further in (writer.witness, lambda: writer.write(all_rows(writer))):
            with pytest.raises(DestinationUnreachable) as caught:
                further()
            assert caught.value.transient
    with pytest.raises(DestinationUnreachable):
        writer.write(all_rows(writer))


def test_an_incremental_run_needs_the_marker_of_its_base_everywhere(place, loader):
    load(loader, CLAIM)
    load(loader, OTHER)
    with pytest.raises(FenceMissing):
        finish_check(loader, BASE)

    for run in (BASE, RUN):
        loader.begin(run, 1, 4)
        loader.set_marker(run, base=None, witnesses={})
        loader.begin(RUN, 1, 4)
        load(loader, CLAIM)
        load(loader, OTHER)
        finish_check(loader, BASE)
        assert loader.marker() == RUN

    name = max(key for key in place.names() if key.endswith(":marker"))
    place.client_for(name).delete(name)
    with pytest.raises(FenceMissing):
        finish_check(loader, BASE)


def test_thousands_of_partitions_are_checked_with_few_words(valkey_place, monkeypatch):
    count, loader = 4_096, open_loader(valkey_place.settings)
    claims = [Claim(RUN, 1, number, 2 if number % 1_000 == 7 else 1) for number in range(count)]
    loader.begin(RUN, 1, count)
    sent: list[int] = []
    execute_many = loader._deployment.execute_many

    def counted(commands):
        sent.extend(sum(len(str(word)) for word in command[-5:]) for _, command in commands)
        return execute_many(commands)

    monkeypatch.setattr(loader._deployment, "execute_many", counted)
    with pytest.raises(WitnessMissing) as caught:
        loader.set_marker(RUN, base=None, witnesses={claim.partition: claim.text for claim in claims})
    assert caught.value.partitions == set(range(count))
    assert max(sent) < 300
    loader.close()


@pytest.mark.parametrize("attempt", [2, 3])
def test_a_closed_fence_opens_only_on_demand_and_only_for_a_later_attempt(loader, attempt):
    if attempt == 3:
        assert loader.move_fence(Claim(RUN, 1, 0, 2))
    loader.close_fences(RUN, 1, 4)
    loader.close_fences(RUN, 1, 4)
    wanted = Claim(RUN, 1, 0, attempt)
    assert not loader.move_fence(wanted)
    for refused in (
        Claim(RUN, 1, 0, attempt - 1),
        Claim(RUN, 2, 0, attempt),
        Claim(LATER_RUN, 1, 0, attempt),
        Claim(RUN, 1, 4, attempt),
    ):
        assert not loader.move_fence(refused, reopen=True)

    assert loader.move_fence(wanted, reopen=True)
    assert loader.move_fence(wanted, reopen=True)
    assert not loader.move_fence(Claim(RUN, 1, 0, attempt - 1), reopen=True)
    with pytest.raises(FenceMoved):
        load(loader, Claim(RUN, 1, 0, attempt - 1))
    with pytest.raises(FenceMoved):
        load(loader, OTHER)
    load(loader, wanted)
    loader.close_fences(RUN, 1, 4)
    assert not loader.move_fence(wanted, reopen=True)
    loader.set_marker(RUN, base=None, witnesses={0: wanted.text})


@pytest.fixture(params=[False, True], ids=["forgetful", "durable"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own; a durable one keeps every write when it is killed."""
    with EmbeddedServer(tmp_path, durable=request.param, options=("appendfsync always",)) as server:
        yield server


def settings_of(server: EmbeddedServer) -> RedisSettings:
    return RedisSettings.from_plain({"address": server.address}, {"password": server.password})


def restart(server: EmbeddedServer) -> None:
    server.kill()
    server.start()


def test_a_partition_does_not_outlive_a_restart_between_two_chunks(server):
    with open_loader(settings_of(server), pauses=(0.0, 0.0)) as loader:
        loader.begin(RUN, 1, 4)
        for step in ("write", "witness"):
            with loader.partition(CLAIM) as writer:
                writer.write(all_rows(writer))
                restart(server)
                if not server.durable:
                    loader.begin(RUN, 1, 4)
                with pytest.raises(DestinationUnreachable) as caught:
                    writer.write(all_rows(writer)) if step == "write" else writer.witness()
                assert caught.value.transient
        load(loader, CLAIM)


def test_a_restart_after_the_witness_is_harmless_or_noticed(server):
    with open_loader(settings_of(server)) as loader:
        loader.begin(RUN, 1, 4)
        load(loader, CLAIM)
        load(loader, OTHER)
        restart(server)

        if server.durable:
            finish_check(loader)
        else:
            with pytest.raises(FenceMissing):
                finish_check(loader)


def test_a_server_that_lost_its_last_writes_names_the_partitions_they_belong_to(tmp_path):
    with EmbeddedServer(tmp_path) as server, open_loader(settings_of(server)) as loader:
        loader.begin(RUN, 1, 4)
        load(loader, CLAIM)
        with redis.Redis.from_url(server.url()) as client:
            client.save()
        load(loader, OTHER)
        restart(server)

        with pytest.raises(WitnessMissing) as caught:
            finish_check(loader)
        assert caught.value.partitions == {3}
        load(loader, OTHER)
        finish_check(loader)


def test_a_server_that_turned_replica_and_back_ends_the_partition(valkey_place):
    client = valkey_place.clients[0]
    with open_loader(valkey_place.settings, pauses=(0.0, 0.0)) as loader:
        loader.begin(RUN, 1, 4)
        loader._deployment.refresh = lambda: client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[method-assign]  # time passes
        with loader.partition(CLAIM) as writer:
            writer.write(all_rows(writer))
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            try:
                with pytest.raises(DestinationBusy) as caught:
                    writer.write(all_rows(writer))
            finally:
                client.execute_command("REPLICAOF", "NO", "ONE")
    assert caught.value.code == "readonly"


def test_a_slot_that_moved_between_the_partitions_primaries_is_followed(cluster, cluster_place):
    slot = slot_of(KEYS[1])
    with open_loader(cluster_place.settings, pauses=(0.0,)) as loader:
        loader.begin(RUN, 1, 4)
        with loader.partition(CLAIM) as writer:
            writer.write(all_rows(writer))
            cluster.move_slot(slot, to=(cluster.owner_of(slot) + 1) % 3)
            assert writer.write(Rows.of(KEYS, ["{}"] * len(KEYS), field=writer.field_of_commands)).written == 450
            writer.witness()
        load(loader, OTHER)
        finish_check(loader)


def test_a_tag_that_moved_meanwhile_ends_the_partition(cluster, cluster_place):
    with open_loader(cluster_place.settings) as loader:
        loader.begin(RUN, 1, 4)
        slot = slot_of(next(key for key in cluster_place.names() if key.endswith(":fence")))
        with loader.partition(CLAIM) as writer:
            writer.write(all_rows(writer))
            cluster.move_slot(slot, to=(cluster.owner_of(slot) + 1) % 3)
            with pytest.raises(DestinationBusy) as caught:
                writer.witness()
        assert (caught.value.code, caught.value.transient) == ("primary_changed", True)
    with open_loader(cluster_place.settings) as another:
        load(another, CLAIM)


def test_a_replaced_shard_is_noticed_at_the_end(cluster_place):
    with open_loader(cluster_place.settings) as loader:
        loader.begin(RUN, 1, 4)
        load(loader, CLAIM)
        load(loader, OTHER)
        cluster_place.clients[2].flushall()

        with pytest.raises(FenceMissing):
            finish_check(loader)


@pytest.mark.parametrize("killed", [True, False], ids=["dead", "demoted"])
def test_a_failover_ends_the_partition(tmp_path, killed):
    with ValkeyCluster(tmp_path) as cluster, ExitStack() as stack:
        loaders = [stack.enter_context(open_loader(cluster.settings, pauses=(0.0, 0.3, 1.0))) for _ in range(3)]
        loaders[0].begin(RUN, 1, 4)
        writer, another = (stack.enter_context(loader.partition(CLAIM)) for loader in loaders[:2])
        for each in (writer, another):
            each.write(all_rows(each))
        cluster.fail_over(1, kill=killed)
        with pytest.raises(DestinationError) as writing:
            writer.write(all_rows(writer))
        with pytest.raises(DestinationError) as witnessing:
            another.witness()
        for caught in (writing, witnessing):
            assert caught.value.transient
            assert caught.value.code == ("unreachable" if killed else "primary_changed")
        cluster.wait_until_agreed()
        load(loaders[2], CLAIM)
