"""People with several ids: three views of one project, each by another id type, synced into one destination."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis
from django.utils import timezone

from accounts.roles import Role
from activation import cascades, deletions, handles
from activation.models import Activation, Deletion, RedisDestination, Source, SyncRun
from config.embedded import EmbeddedServer
from projects.models import Project
from tests.activation.world import World, build
from tests.cast import Member
from tests.contracts.caller import Called, call

ID_TYPES = ("email", "phone", "user_id")
# Main id → the person's ids, by id type.
Ids = dict[str, dict[str, list[str]]]
PEOPLE: Ids = {
    "m1": {"email": ["ada@x", "ada@work"], "phone": ["+1"], "user_id": ["u1"]},
    "m2": {"email": ["bob@x"], "phone": ["+2"], "user_id": []},
    "m3": {"email": ["eve@x"], "phone": [], "user_id": ["u3"]},
}


@dataclass
class Town:
    """A project whose views are by email, phone and user_id, and what applications ask of its destination."""

    world: World
    sources: dict[str, Source]
    member: Member
    token: str = field(repr=False)

    @property
    def destination(self) -> RedisDestination:
        return self.world.source.destination

    def put(self, people: Ids, *, main: str = "user_main_id") -> None:
        """Replace what the views show."""
        with self.world.owner() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS profiles")
            for id_type in self.sources:
                rows = [(person, one) for person, ids in people.items() for one in ids.get(id_type, [])]
                connection.execute(
                    f'CREATE OR REPLACE TABLE profiles.by_{id_type} ("{main}" VARCHAR, "{id_type}" VARCHAR, score INT)'
                )
                for row in rows:
                    connection.execute(f"INSERT INTO profiles.by_{id_type} VALUES (?, ?, 1)", row)

    def sync(self, *id_types: str) -> list[SyncRun]:
        """Sync the sources, or those of some id types."""
        runs = [replace(self.world, source=self.sources[each]).sync() for each in id_types or self.sources]
        assert {run.state for run in runs} == {"succeeded"}, [run.error for run in runs]
        return runs

    def key(self, id_type: str, value: str) -> str:
        """The Redis key of an id, spelled out here once more on purpose."""
        return f"{self.destination.workspace_id}:{self.destination.public_id}:user:{id_type}:{value}"

    def served(self) -> set[str]:
        """Return what is in Redis, as `idType:value`."""
        start = f"{self.destination.workspace_id}:{self.destination.public_id}:"
        names = (bytes.decode(name).removeprefix(start) for name in self.world.redis.scan_iter(f"{start}*"))
        return {name.removeprefix("user:") for name in names if name.startswith("user:")}

    def delete(self, *ids: tuple[str, str], cascade: object = True, token: str | None = None) -> Called:
        """Delete as an application does."""
        body = {
            "entity": "user",
            "destinationId": self.destination.public_id,
            "id": [{"type": id_type, "value": value} for id_type, value in ids],
            "cascade": cascade,
        }
        authorization = f"Bearer {token or self.token}"
        return call("DELETE", "/v2/activation", json.dumps(body).encode(), HTTP_AUTHORIZATION=authorization)

    def work(self, *, rounds: int = 20) -> None:
        """Play the workers until nothing waits; waiting times are cut short."""
        for _ in range(rounds):
            deletions.waiting(now=timezone.now())  # gives up workers that are gone
            Deletion.objects.filter(state=Deletion.State.QUEUED).update(not_before=timezone.now())
            waiting = deletions.waiting(now=timezone.now())
            if not waiting:
                return
            for deletion_id in waiting:
                cascades.work(deletion_id, now=timezone.now())

    def receipt(self, deleted: Called, *, token: str | None = None) -> Any:
        """Ask where a cascading delete stands."""
        answer = self.ask(f"/v2/deletions/{deleted.json['receiptId']}", token=token)
        assert answer.status == 200, answer.json
        return answer.json

    def ask(self, path: str, *, token: str | None = None) -> Called:
        return call("GET", path, HTTP_AUTHORIZATION=f"Bearer {token or self.token}")

    def another_project(self, *id_types: str, slug: str = "others") -> dict[str, Source]:
        """Add a project that serves the same entity into the same destination from the same warehouse."""
        project = Project.objects.create(
            organisation=self.member.organisation,
            warehouse=self.world.source.activation.project.warehouse,
            output_schema=slug,
            name=slug,
            slug=slug,
        )
        activation = Activation.objects.create(project=project, destination=self.destination, enabled_by="ada")
        return {each: new_source(activation, each, view=f"{slug}_by_{each}") for each in id_types}


def new_source(activation: Activation, id_type: str, *, view: str) -> Source:
    return Source.objects.create(
        activation=activation,
        destination=activation.destination,
        entity="user",
        id_type=id_type,
        feature_view=view,
        relation=f"by_{id_type}",
        id_column=id_type,
    )


def keys_of(people: Ids, *persons: str) -> set[str]:
    """Return the ids of people, as `Town.served` does."""
    chosen = persons or tuple(people)
    return {f"{id_type}:{one}" for each in chosen for id_type, ids in people[each].items() for one in ids}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True) as server:
        yield server


@pytest.fixture
def town(admin: Member, server: EmbeddedServer, settings, tmp_path, transactional_db: None) -> Iterator[Town]:
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, server)
    world.source.delete()
    activation = Activation.objects.get()
    sources = {each: new_source(activation, each, view=f"features_by_{each}") for each in ID_TYPES}
    world.source = sources["email"]
    town = Town(world, sources, admin, admin.token(Role.ADMIN))
    town.put(PEOPLE)
    yield town
    handles.close()
    world.redis.close()


@pytest.fixture
def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url())
