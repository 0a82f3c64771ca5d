"""A small world to sync: a warehouse with one view, a Redis destination, a source, and steps run in process.

Workers are played by calling the steps that tasks call, so a test decides what happens between them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import duckdb
import redis
from django.conf import settings
from django.utils import timezone

from accounts.actors import Actor
from activation import partitions, recovery, run_steps, syncs
from activation.models import Activation, RedisDestination, RunState, Source, SyncRun
from config.embedded import EmbeddedServer
from projects.models import Project, Warehouse, WarehouseKind

VIEW = "features_by_email"


class Owner(Protocol):
    """A connection of the customer's own to their warehouse, behind our back; parameters are `$1`, `$2` and so on."""

    def execute(self, query: str, parameters: Sequence[object] = ..., /) -> object:
        """Run a statement."""


@dataclass
class World:
    """One source and everything it needs; `owner` opens the warehouse as its owner."""

    source: Source
    by: Actor
    owner: Callable[[], AbstractContextManager[Owner]]
    redis: redis.Redis

    @property
    def file(self) -> Path:
        """The DuckDB file, where the warehouse is one."""
        return Path(settings.DUCKDB_DIR, self.source.activation.project.warehouse.settings["file"])

    def put(self, rows: Iterable[tuple[str | None, int | None]], *, extra: str = "") -> None:
        """Replace what the view shows: rows of (email, score)."""
        rows = list(rows)
        with self.owner() as owner:
            owner.execute("CREATE SCHEMA IF NOT EXISTS profiles")
            owner.execute(f"DROP VIEW IF EXISTS profiles.{VIEW}")
            owner.execute("DROP TABLE IF EXISTS profiles.people")
            owner.execute("CREATE TABLE profiles.people (email VARCHAR, score INTEGER)")
            emails, scores = [email for email, _ in rows], [score for _, score in rows]
            owner.execute(
                "INSERT INTO profiles.people SELECT unnest($1::VARCHAR[]), unnest($2::INTEGER[])", [emails, scores]
            )
            owner.execute(
                f"CREATE VIEW profiles.{VIEW} AS SELECT 'm-' || email AS user_main_id, email, score{extra} "
                "FROM profiles.people"
            )

    def start(self) -> SyncRun:
        """Queue a run."""
        source = Source.objects.select_related("activation").get(pk=self.source.pk)
        return syncs.start(source, trigger=SyncRun.Trigger.PERSON, by=self.by, now=timezone.now())

    def work(self, run: SyncRun, *, rounds: int = 60) -> SyncRun:
        """Play workers and tick until the run has ended or the rounds are used up; waiting times are cut short."""
        for _ in range(rounds):
            run = self.again(run)
            if run.state in {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}:
                break
            SyncRun.objects.filter(pk=run.pk).update(not_before=timezone.now())
            run.partitions.update(not_before=timezone.now())
            recovery.put_back_stalled(now=timezone.now())
            run_steps.take_snapshot(run.pk, now=timezone.now())
            for partition_id in partitions.waiting(now=timezone.now()).values_list("pk", flat=True):
                run_steps.load_partition(partition_id, now=timezone.now())
            run_steps.finish(run.pk, now=timezone.now())
        return run

    def sync(self) -> SyncRun:
        """Run a whole sync."""
        return self.work(self.start())

    def again(self, run: SyncRun) -> SyncRun:
        """Read a run anew."""
        return SyncRun.objects.select_related("source").get(pk=run.pk)

    def key(self, email: str) -> str:
        """The Redis key of a person, spelled out here once more on purpose."""
        destination = self.source.destination
        return f"{destination.workspace_id}:{destination.public_id}:user:email:{email}"

    def served(self) -> dict[str, dict[str, object]]:
        """Read everything of ours but the bookkeeping straight from Redis: email → view → traits."""
        destination = self.source.destination
        start = f"{destination.workspace_id}:{destination.public_id}:"
        found = {}
        for name in map(bytes.decode, self.redis.scan_iter(f"{start}*")):
            if not name.startswith(f"{start}_activation:"):
                traits = {field.decode(): json.loads(value) for field, value in self.fields(name).items()}
                found[name.removeprefix(f"{start}user:email:")] = traits
        return found

    def fields(self, key: str) -> dict[bytes, bytes]:
        """Read a key whole, as bytes."""
        fields: dict[bytes, bytes] = self.redis.hgetall(key)  # type: ignore[assignment]  # nothing is decoded
        return fields

    def bookkeeping(self) -> set[str]:
        """List the kinds of bookkeeping keys that are there."""
        destination = self.source.destination
        pattern = f"{destination.workspace_id}:{destination.public_id}:_activation:*"
        return {bytes.decode(key).rsplit(":", 1)[1] for key in self.redis.scan_iter(pattern)}


def expected(rows: Iterable[tuple[str, int | None]]) -> dict[str, dict[str, object]]:
    """What Redis must hold for the rows, worked out without the engine."""
    return {email: {VIEW: {"user_main_id": f"m-{email}", "email": email, "score": score}} for email, score in rows}


def build(by: Actor, server: EmbeddedServer, *, destination: RedisDestination | None = None) -> World:
    """Make a world in the actor's organisation from a DuckDB file; the server is the destination unless one is given."""
    settings.DUCKDB_DIR.mkdir(parents=True, exist_ok=True)
    warehouse = Warehouse.objects.create(
        organisation=by.organisation,
        name="Warehouse",
        kind=WarehouseKind.DUCKDB,
        settings={"file": f"{by.organisation.public_id}.duckdb"},
    )
    owner = partial(duckdb.connect, Path(settings.DUCKDB_DIR, warehouse.settings["file"]))
    return upon(warehouse, owner, by, server, destination=destination)


def upon(
    warehouse: Warehouse,
    owner: Callable[[], AbstractContextManager[Owner]],
    by: Actor,
    server: EmbeddedServer,
    *,
    destination: RedisDestination | None = None,
) -> World:
    """Make the records of a world whose warehouse is given."""
    project = Project.objects.create(
        organisation=by.organisation, warehouse=warehouse, output_schema="profiles", name="Customers", slug="customers"
    )
    destination = destination or destination_of(by, server)
    activation = Activation.objects.create(project=project, destination=destination, enabled_by=by.name)
    source = Source.objects.create(
        activation=activation,
        destination=destination,
        entity="user",
        id_type="email",
        feature_view=VIEW,
        relation=VIEW,
        id_column="email",
    )
    client = redis.Redis.from_url(server.url())
    return World(source=source, by=by, owner=owner, redis=client)


def destination_of(by: Actor, server: EmbeddedServer) -> RedisDestination:
    """Make a destination that is the given server."""
    from activation import destinations

    return destinations.create(
        name="Redis",
        settings={"address": server.address},
        credentials={"password": server.password},
        by=by,
        now=timezone.now(),
    )
