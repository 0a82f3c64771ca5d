"""Slots and primaries that move while a sync is under way: nothing is lost, and nothing waits for ever."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from activation.engine.bookkeeping import RESHARDING_ATTEMPTS
from activation.engine.errors import DestinationBusy, DestinationError
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, Loader
from activation.engine.rows import Rows
from activation.engine.slots import SLOTS, slot_of, tag_of
from activation.engine.store import Store
from tests.activation.redis.conftest import Place
from tests.redis_servers import ValkeyCluster

SMALL_FROM = SLOTS - 54
KEYS = [f"ws:dest:user:email:person{number}@example.com" for number in range(300)]


def claim(attempt: int = 1, *, run_attempt: int = 1) -> Claim:
    return Claim("run", run_attempt, 0, attempt)


def loader_of(cluster: ValkeyCluster, **options: object) -> Loader:
    wanted = {"allow_private": True, "pauses": (), "command_timeout": 5.0, **options}
    return Loader(cluster.settings, Bookkeeping("ws", "dest", "src"), "view", **wanted)  # type: ignore[arg-type]  # by name


def keys_from(slot: int, number: int) -> list[str]:
    """Keys whose slots are this one or later ones."""
    keys = (f"ws:dest:user:email:{serial}" for serial in count())
    return list(islice((key for key in keys if slot_of(key) >= slot), number))


@pytest.fixture(scope="module")
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """A cluster whose last primary owns 54 slots, none of them a multiple of 64."""
    with ValkeyCluster(tmp_path_factory.mktemp("small"), shares=(0, 8_192, SMALL_FROM)) as cluster:
        yield cluster


def load(loader: Loader, keys: list[str], attempt: int = 1, *, run_attempt: int = 1) -> None:
    with loader.partition(claim(attempt, run_attempt=run_attempt)) as writer:
        assert writer.write(Rows.of(keys, ["{}"] * len(keys), field=writer.field_of_commands)).written == len(keys)
        writer.witness()


def test_a_tag_is_found_for_any_slot():
    for slot in (0, 1, SMALL_FROM, SLOTS - 1):
        assert slot_of(f"ws:dest:_activation:{{{tag_of(slot)}}}:src:fence") == slot


def test_a_small_primary_is_written_and_its_loss_shows(small_cluster: ValkeyCluster):
    small_cluster.flush()
    keys = [*KEYS, *keys_from(SMALL_FROM, 20)]
    with loader_of(small_cluster) as loader:
        loader.begin("run", 1, 1)
        load(loader, keys)
        loader.close_fences("run", 1, 1)
        loader.set_marker("run", base=None, witnesses={0: claim().text})
        loader.finish("run")
        assert loader.marker() == "run"
        with small_cluster.client(2) as small:
            assert {key.rpartition(b":")[2] for key in small.scan_iter("*:_activation:*")} == {b"marker"}
            small.flushall()
        assert loader.marker() is None


def test_a_small_primary_that_was_emptied_under_way_is_found_out(small_cluster: ValkeyCluster):
    small_cluster.flush()
    with loader_of(small_cluster) as loader:
        loader.begin("run", 1, 1)
        load(loader, keys_from(SMALL_FROM, 20))
        with small_cluster.client(2) as small:
            small.flushall()
        with pytest.raises(FenceMissing):
            loader.set_marker("run", base=None, witnesses={0: claim().text})


def test_a_primary_that_became_small_after_the_beginning_is_waited_for_and_then_the_run_starts_over(tmp_path: Path):
    with ValkeyCluster(tmp_path, shares=(0, 8_192, SMALL_FROM)) as cluster, loader_of(cluster) as loader:
        loader.begin("run", 1, 1)
        cluster.move_slot(SMALL_FROM - 1, to=2)
        keys = keys_from(SMALL_FROM, 20)
        loader._deployment.refresh()

        with pytest.raises(DestinationBusy) as caught:
            load(loader, keys)
        assert (caught.value.code, caught.value.transient) == ("resharding", True)
        late = RESHARDING_ATTEMPTS + 1
        assert loader.move_fence(claim(late))
        with pytest.raises(FenceMissing):
            load(loader, keys, late)
        loader.begin("run", 2, 1)
        load(loader, keys, run_attempt=2)


def test_a_slot_under_way_keeps_its_rows_waiting_and_everything_readable(cluster: ValkeyCluster, cluster_place: Place):
    same = [f"ws:dest:user:email:{{tag}}{number}" for number in range(4)]
    slot = slot_of(same[0])
    owner = cluster.owner_of(slot)
    to = (owner + 1) % 3
    store = Store(cluster.settings, allow_private=True, command_timeout=2.0)
    with loader_of(cluster) as loader:
        loader.begin("run", 1, 1)
        load(loader, [*KEYS, *same])
        with cluster.moving(slot, to=to, keys=same[:2]):
            with pytest.raises(DestinationBusy) as caught:
                loader.write(claim(), [*KEYS, *same], ['{"A":1}'] * 304)
            assert caught.value.code in {"nonlocal", "tryagain"}
            assert [sorted(fields) for fields in store.read_many(same)] == [["view"]] * 4
            assert store.delete([same[0], same[3]]) == 2
        loader._deployment.refresh()
        load(loader, [*KEYS, *same])

    assert store.read_many(same) == [{"view": b"{}"}] * 4
    assert cluster.owner_of(slot) == to
    store.close()


def test_a_failover_under_way_ends_the_partition_and_the_next_attempt_finishes(tmp_path: Path):
    with ValkeyCluster(tmp_path) as cluster, loader_of(cluster, pauses=(0.0, 0.1)) as loader:
        loader.begin("run", 1, 1)
        with loader.partition(claim()) as writer:
            writer.write(Rows.of(KEYS[:150], ["{}"] * 150, field=writer.field_of_commands))
            cluster.fail_over(0)
            with pytest.raises(DestinationError) as caught:
                writer.write(Rows.of(KEYS, ["{}"] * 300, field=writer.field_of_commands))
            assert caught.value.transient
        with loader_of(cluster) as another:
            assert another.move_fence(claim(2))
            load(another, KEYS, 2)
            another.close_fences("run", 1, 1)
            another.set_marker("run", base=None, witnesses={0: claim(2).text})
            assert another.marker() == "run"
