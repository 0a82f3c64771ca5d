"""Tables that name people do not outlive their source's project, and nobody else's are dropped for having no source."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from activation import destinations, enabling, removals, run_finishes, source_tables, tasks
from activation.models import Installation, Source, SourceTables, SyncRun
from activation.run_resources import table_prefix
from config.embedded import EmbeddedServer
from projects import connections, projects
from projects.models import Warehouse
from projects.warehouses.port import WarehouseUnreachable, own_table
from tests.activation.test_syncs_from_postgresql import shop
from tests.activation.world import World, build
from tests.cast import Member

__all__ = ["shop"]
PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]


@pytest.fixture
def files(admin: Member, redis_server: EmbeddedServer, settings, tmp_path) -> World:
    settings.SNAPSHOT_DIR = tmp_path
    return build(admin.actor, redis_server)


@pytest.fixture(params=["files", "shop"])
def world(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[World]:
    world: World = request.getfixturevalue(request.param)
    world.redis.flushall()
    world.put(PEOPLE)
    world.sync()
    yield world
    world.redis.close()


def tables(prefix: str = "activation_") -> set[str]:
    """List tables of the warehouse, whosever they are, but for the log of syncs."""
    with connections.open_warehouse(Warehouse.objects.get()) as warehouse:
        return {name for name in warehouse.tables(prefix) if "_sync_log" not in name}


def make(*names: str) -> None:
    with connections.open_warehouse(Warehouse.objects.get()) as warehouse:
        for name in names:
            warehouse.create(own_table(name), "SELECT 1 AS n", uses=[])


def sweep(**later: float) -> None:
    source_tables.sweep(now=timezone.now() + timedelta(**later))


def remove(world: World) -> None:
    """Remove the profiles; the ids stay in the warehouse."""
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    world.work(SyncRun.objects.get(kind="removal"))


def leave(world: World) -> None:
    """Give a removal up: the whole snapshot stays in the warehouse."""
    enabling.disable(world.source.activation.project, by=world.by, now=timezone.now(), remove=True)
    SyncRun.objects.filter(kind="removal").update(retries=1)
    removals.leave_behind(world.source, by=world.by, now=timezone.now())


def end_project(world: World) -> None:
    projects.delete(world.source.activation.project, by=world.by, now=timezone.now())


def end_destination(world: World) -> None:
    destinations.delete(world.source.destination, by=world.by, now=timezone.now())


Step = Callable[[World], None]


@pytest.mark.parametrize("ended", [end_project, end_destination])
@pytest.mark.parametrize("removed", [remove, leave])
def test_a_source_that_is_gone_leaves_no_table(world, removed: Step, ended: Step):
    removed(world)
    run_finishes.sweep(now=timezone.now() + timedelta(hours=1))
    sweep()
    assert len(tables()) == 1, "its source may return"

    ended(world)
    assert not Source.every_place.exists()
    tasks.forget()
    assert tables() == set()
    sweep(hours=1)
    assert not SourceTables.objects.exists()


def test_a_table_that_a_late_worker_makes_is_dropped_as_well(world):
    remove(world)
    end_project(world)
    sweep()
    late = f"{table_prefix(world.source.tables_number)}r9_a1_deletes"
    make(late)
    sweep(minutes=40)
    assert tables() == {late}, "it was looked for within the hour"
    sweep(hours=1)
    assert tables() == set()


def test_tables_of_others_stay(world):
    """Of other installations, and, by a number nobody knows here, of a copy of ours."""
    remove(world)
    number = world.source.tables_number
    other = "0badcafe" if Installation.own_code() != "0badcafe" else "0badcaff"
    theirs = {
        f"activation_{other}_s{number}_r1_a1_snapshot",
        f"activation_{Installation.own_code()}_s{number}1_r1_a1_snapshot",
        f"activation_{Installation.own_code()}_s{number + 1}_r1_a1_snapshot",
    }
    make(*theirs)
    end_project(world)
    sweep()
    sweep(hours=1)
    assert tables() == theirs


def test_a_warehouse_that_is_away_is_asked_again_and_keeps_no_other_waiting(world, monkeypatch):
    remove(world)
    end_project(world)
    elsewhere = Warehouse.objects.get()
    elsewhere.pk = None
    elsewhere.public_id, elsewhere.name = "2" * 27, "Elsewhere"
    elsewhere.save()
    SourceTables.objects.create(warehouse=elsewhere, number=7, not_before=timezone.now() - timedelta(days=1))
    real = connections.open_warehouse

    def away(warehouse: Warehouse) -> AbstractContextManager[Any]:
        if warehouse.pk == elsewhere.pk:
            raise WarehouseUnreachable("The warehouse is away.")
        return real(warehouse)

    monkeypatch.setattr(connections, "open_warehouse", away)
    sweep()
    sweep(hours=1)
    assert [row.warehouse_id for row in SourceTables.objects.all()] == [elsewhere.pk]
    monkeypatch.undo()
    sweep(hours=2)
    assert not SourceTables.objects.exists()
    elsewhere.delete()
    assert tables() == set()


def test_a_source_that_returned_keeps_its_tables(world):
    remove(world)
    world.source.activation.__class__.objects.update(enabled=True)
    Source.objects.update(status=Source.Status.ACTIVE)
    world.sync()
    sweep(days=40)
    assert Source.objects.get().base_snapshot in tables()
