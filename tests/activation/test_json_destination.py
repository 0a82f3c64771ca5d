"""A sync into a Redis that stores JSON documents, from the warehouse to what the API reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from activation import handles
from activation.models import RedisDestination, RunState
from tests.activation.world import World, build, expected
from tests.cast import Member
from tests.json_servers import KINDS, json_server

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]


@pytest.fixture(params=KINDS)
def world(
    request: pytest.FixtureRequest, admin: Member, settings, tmp_path: Path, transactional_db: None
) -> Iterator[World]:
    settings.PARTITION_ROWS, settings.SNAPSHOT_DIR = 10, tmp_path / "snapshots"
    with json_server(request.param, tmp_path / "json") as (address, server):
        world = build(admin.actor, server)
        where = {"address": address, "useJSONModule": True}
        RedisDestination.objects.update(settings=where)
        world.source.refresh_from_db()
        world.put(PEOPLE)
        yield world
        world.redis.close()
        handles.close()


def served(world: World) -> dict[str, object]:
    """What the API would read: email → view → traits."""
    destination = world.source.destination
    handle = handles.get(destination.organisation_id, destination.public_id)
    found = {email: handle.read(world.key(email)) for email, _ in PEOPLE}
    return {
        email: {view: json.loads(text) for view, text in fields.items()} for email, fields in found.items() if fields
    }


def test_documents_hold_what_the_view_shows_and_go_with_their_row(world: World):
    first = world.sync()
    assert (first.state, first.error, first.written) == (RunState.SUCCEEDED, "", 25)
    assert served(world) == expected(PEOPLE)

    changed = [(email, score + 1) for email, score in PEOPLE[5:]]
    world.put(changed)
    second = world.sync()
    assert (second.state, second.error, second.deleted) == (RunState.SUCCEEDED, "", 5)
    assert served(world) == expected(changed)
    assert world.redis.exists(world.key(PEOPLE[0][0])) == 0


def test_a_deleted_profile_is_no_document_any_more(world: World):
    world.sync()
    destination = world.source.destination
    handle = handles.get(destination.organisation_id, destination.public_id)

    assert handle.delete([world.key(PEOPLE[0][0]), world.key("nobody@example.com")]).profiles == 1
    assert PEOPLE[0][0] not in served(world)
