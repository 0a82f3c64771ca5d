"""Moves between places of every kind, of several projects at once, and beside whatever else goes on."""

import json
import threading
from contextlib import suppress

import redis
from django.utils import timezone

from activation import handles, move_steps, moves, previews, syncs
from activation.models import (
    ACTIVE_STATES,
    Activation,
    DestinationMove,
    Preview,
    RedisDestination,
    RunState,
    Source,
    SyncRun,
)
from projects.models import Project
from tests.activation.moves.playing import MORE, PEOPLE, tick, until
from tests.activation.test_suppressions import in_threads
from tests.activation.world import expected
from tests.json_servers import json_server
from tests.redis_servers import ValkeyCluster


def moved(world, settings, credentials) -> None:
    """Move to a place, and sync there."""
    begun = moves.start(
        RedisDestination.objects.get(), settings=settings, credentials=credentials, by=world.by, now=timezone.now()
    )
    until(world, begun, "done")
    world.put(MORE)
    run = world.sync()
    assert (run.state, run.kind) == (RunState.SUCCEEDED, "incremental")


def read(world, people) -> dict[str, object]:
    """Read people as applications do."""
    handles.close()
    destination = RedisDestination.objects.get()
    handle = handles.get(destination.organisation_id, destination.public_id)
    found = {email: handle.read(world.key(email)) for email, _ in people}
    return {email: {view: json.loads(text) for view, text in fields.items()} for email, fields in found.items()}


def test_another_database_of_the_same_server(world, servers):
    world.sync()
    moved(world, {"address": servers[0].address, "database": 3}, {"password": servers[0].password})

    assert read(world, MORE) == expected(MORE)
    assert world.redis.dbsize() == 0
    with redis.Redis(port=servers[0].port, password=servers[0].password, db=3) as there:
        assert there.dbsize() == len(MORE) + 1  # and the marker


def test_a_place_that_stores_json_documents_and_back(world, servers, tmp_path):
    world.sync()
    with json_server("fake", tmp_path / "json") as (address, server):
        moved(world, {"address": address, "useJSONModule": True}, {"password": server.password})
        assert read(world, MORE) == expected(MORE)
        assert world.redis.dbsize() == 0

        world.put(PEOPLE)
        moved(world, {"address": servers[0].address}, {"password": servers[0].password})
        assert read(world, MORE) == expected(MORE)
        with redis.Redis.from_url(server.url()) as left:
            assert left.dbsize() == 0


def test_a_cluster(world, tmp_path):
    world.sync()
    with ValkeyCluster(tmp_path / "cluster") as cluster:
        where = {"address": cluster.servers[0].address, "clusterMode": True}
        moved(world, where, {"password": cluster.password})
        assert read(world, MORE) == expected(MORE)
        assert world.redis.dbsize() == 0
        handles.close()


def test_two_projects_move_together(world, there, move):
    """The second one's first load fails: nobody switches before it was tried again."""
    source = world.source
    second = Project.objects.create(
        organisation=world.by.organisation,
        warehouse=source.activation.project.warehouse,
        output_schema="profiles",
        name="Second",
        slug="second",
    )
    Source.objects.create(
        activation=Activation.objects.create(project=second, destination=source.destination, enabled_by="x"),
        destination=source.destination,
        entity="user",
        id_type="email",
        feature_view="second_view",
        relation=source.relation,
        id_column="email",
    )
    begun = move()
    move_steps.carry_on(now=timezone.now())
    first_load, second_load = SyncRun.objects.filter(trigger="move").order_by("pk")
    syncs.stop(second_load, by=world.by, now=timezone.now())
    world.work(first_load)
    tick(world)
    assert DestinationMove.objects.get().state == "loading"
    assert [part.word for part in move_steps.parts(begun)] == ["In step", "Stopped"]

    moves.try_again(begun, by=world.by, now=timezone.now())
    until(world, begun, "done")
    assert {email: set(views) for email, views in there.served().items()} == {
        email: {source.feature_view, "second_view"} for email, _ in PEOPLE
    }
    assert world.redis.dbsize() == 0


def test_claims_and_starts_while_the_destination_switches(world, there, move):
    world.sync()
    begun = move()
    tick(world)
    world.put(MORE)
    ended = threading.Event()

    def step() -> None:
        while not ended.is_set():
            move_steps.carry_on(now=timezone.now())

    def sync() -> None:
        try:
            for _ in range(4):
                with suppress(syncs.AlreadyRunning):
                    world.start()
                run = SyncRun.objects.filter(source=world.source.pk).latest("pk")
                world.work(run, rounds=10)
        finally:
            ended.set()

    in_threads(step, step, sync)
    until(world, begun, "done")
    for run in SyncRun.objects.filter(state__in=ACTIVE_STATES):
        world.work(run)
    assert world.sync().state == RunState.SUCCEEDED
    assert there.served() == expected(MORE)
    assert world.redis.dbsize() == 0
    assert Source.every_place.count() == RedisDestination.every_place.count() == 1


def test_a_preview_is_right_before_and_after_the_switch(world, there, move):
    world.sync()
    world.put(MORE)
    asked = previews.request(Source.objects.get(), by=world.by, now=timezone.now())
    begun = move()
    until(world, begun, "removing")
    previews.run(asked.pk, now=timezone.now())
    looked = Preview.objects.get()
    assert (looked.state, looked.result["added"], looked.result["removed"]) == ("done", 0, 0)
    until(world, begun, "done")
    assert there.served() == expected(MORE)
