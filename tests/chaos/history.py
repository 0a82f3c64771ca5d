"""One history: the records, the customer, the destination, and workers whose lives the test plays."""

import contextlib
from dataclasses import dataclass, field

import pytest
import redis
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.actors import Actor
from accounts.identifiers import new_public_id
from accounts.identities import TokenIdentity
from activation import enabling, erasures, guard, handles, lifts, serving, suppressions, syncs
from activation.handle import DestinationUnavailable
from activation.models import (
    Activation,
    DeletedProfilesPolicy,
    GuardChoice,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncRun,
)
from activation.serving import ProfileId
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse
from projects.placements import ServedView
from projects.warehouses.port import Relation
from tests.chaos import oracle
from tests.chaos.crew import Crew
from tests.chaos.customer import VIEW, Customer, Person
from tests.chaos.destination import Destination
from tests.chaos.lives import Life, Plan, living
from tests.chaos.oracle import Truth

ENTITY, ID_TYPE = "user", "number"


@dataclass
class History:
    """What happens to one source, from an empty destination to the last comparison."""

    source: Source
    identity: TokenIdentity
    customer: Customer
    destination: Destination
    truth: Truth = field(default_factory=Truth)
    foreign: dict[str, dict[str, str]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    succeeded: set[int] = field(default_factory=set)
    shown: dict[str, list[Person]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.customer.shelf.on_view_read = self._note_snapshot
        self.crew = Crew(self._note_successes)

    # What breaks for a while.

    def heal_later(self, what: str, steps: int) -> None:
        """Let something that is broken now be healed after so many further steps."""
        self.broken[what] = steps

    def heal(self, *, everything: bool = False) -> None:
        """Let a step pass, and heal what has been broken for long enough."""
        for what, steps in list(self.broken.items()):
            if steps and not everything:
                self.broken[what] = steps - 1
                continue
            del self.broken[what]
            match what:
                case "view":
                    self.customer.reshape(exists=True, id_column=ID_TYPE)
                case "warehouse":
                    self.customer.shelf.away = False
                case "destination":
                    self.destination.come_back()
                    self.broken.setdefault("keys", 0)  # a backup may hold keys that were blocked then
                    self.foreign = oracle.others(self.destination.client, VIEW)
                case "writes" if self.destination.up:
                    self.destination.relieve()
                case "keys" if self.destination.up and not self.destination.refuses:
                    oracle.unblock(self.destination.client)
                case "keys":
                    self.broken[what] = 0

    # What people and other programs do.

    def start(self, *, full: bool = False, later: bool = False) -> SyncRun | None:
        """Ask for a sync; when one is active there is none, or with `later` one after it."""
        source = Source.objects.select_related("activation__project").get(pk=self.source.pk)
        ask = syncs.request if later else syncs.start
        try:
            return ask(source, trigger=SyncRun.Trigger.PERSON, by=self.by, full=full, now=timezone.now())
        except syncs.AlreadyRunning:
            return None

    def finish_profiles_run(self) -> None:
        """Report that the customer's Profiles project ran."""
        project = self.source.activation.project
        ProfilesRun.objects.create(
            project=project,
            origin=RunOrigin.API,
            status=RunStatus.FINISHED,
            reference=new_public_id(),
            finished_at=timezone.now(),
        )

    @property
    def active(self) -> SyncRun | None:
        """The run that is active."""
        return syncs.active_run(self.source)

    def stop(self) -> None:
        """Press *Stop Now*."""
        run = self.active
        assert run is not None
        syncs.stop(run, by=self.by, now=timezone.now())

    def turn_off(self) -> None:
        """Turn the sync off and have the profiles removed."""
        enabling.disable(self.source.activation.project, by=self.by, now=timezone.now(), remove=True)

    def turn_on(self) -> None:
        """Turn the sync on again; nothing is missing for it."""
        view = ServedView(ENTITY, ID_TYPE, VIEW, Relation("profiles", VIEW), ID_TYPE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(enabling, "preconditions", lambda _: [])
            patch.setattr(enabling, "served_views", lambda _: [view])
            enabling.enable(self.source.activation.project, self.source.destination, by=self.by, now=timezone.now())

    @property
    def waiting(self) -> SyncRun | None:
        """The run that the guard stopped, if it waits for a confirmation."""
        run = SyncRun.objects.filter(source=self.source).order_by("-pk").first()
        source = Source.objects.get(pk=self.source.pk)
        return run if run is not None and guard.is_waiting(run, source) else None

    def confirm(self) -> SyncRun:
        """Confirm the deletes that the guard stopped."""
        run = self.waiting
        assert run is not None
        return guard.confirm(run, choice=GuardChoice.DELETE, by=self.by, now=timezone.now())

    def delete(self, numbers: list[str], plan: Plan | None = None) -> None:
        """Delete people by API, in a web process of its own."""
        stays = suppressions.stand(self.source.destination_id)
        known = Suppression.objects.count()
        life = Life(plan)
        self.crew.lives.append(life)
        ids = [ProfileId(ID_TYPE, number) for number in numbers]
        destination = self.source.destination.public_id
        answered = False
        with living(life):
            try:
                serving.delete(self.identity, destination=destination, entity=ENTITY, ids=ids, now=timezone.now())
                answered = True
            except erasures.DeletePending:
                answered = True
            except (DestinationUnavailable, handles.ServiceUnavailable, OperationalError):
                pass  # nobody was promised anything
        # Without an answer it counts if it was committed: all of a request's suppressions are, or none.
        if stays and (answered or Suppression.objects.count() > known):
            self.truth.suppressed |= set(numbers)

    def write_elsewhere(self, number: str) -> None:
        """Let another program write a field of its own to a person's key."""
        with contextlib.suppress(redis.ResponseError):  # a third program uses the key for something else
            self.destination.client.hset(f"{self.prefix}{number}", "another_view", '{"by":"another program"}')
        self.foreign = oracle.others(self.destination.client, VIEW)

    def block(self, number: str) -> None:
        """Let another program use the key of somebody who is not there for something else."""
        self.destination.client.set(f"{self.prefix}{number}", "a text", nx=True)

    def flush(self) -> None:
        """Empty the destination."""
        self.destination.client.flushall()
        self.foreign = {}

    def lift(self, number: str) -> None:
        """Let somebody who was deleted by API return."""
        destination = self.source.destination
        lifts.lift(destination, entity=ENTITY, id_type=ID_TYPE, value=number, by=self.by, now=timezone.now())
        self.truth.suppressed.discard(number)

    def set_policy(self, policy: DeletedProfilesPolicy) -> None:
        """Choose what deleting means."""
        Activation.objects.filter(pk=self.source.activation_id).update(deleted_profiles=policy)

    @property
    def by(self) -> Actor:
        return self.identity.actor

    # What workers do.

    def step(self, which: int = 0, plan: Plan | None = None, *, twice: bool = False) -> None:
        """Let a worker take one of the steps there are to take; where there is none, somebody asks for a sync first.

        With `twice` its message is doubled.
        """
        jobs = self.crew.jobs()
        if not jobs:
            self.crew.give_up()
            self.start()
            jobs = self.crew.jobs()
        if jobs:
            for _ in range(1 + twice):
                self.crew.live(jobs[which % len(jobs)], plan)

    def work_once(self) -> None:
        """Let a healthy worker take the first step there is to take, if there is one."""
        for job in self.crew.jobs()[:1]:
            self.crew.live(job)

    def advance(self, steps: int) -> None:
        """Let healthy workers take some steps."""
        for _ in range(steps):
            self.step()

    # The end.

    def conclude(self) -> SyncRun:
        """Bring everything back to life, sync once more, and compare; then wake who still sleeps, and compare again."""
        while self.broken:
            self.heal(everything=True)
        self.crew.work()
        run = self.start()
        assert run is not None, "a run stays active though everybody works"
        self.crew.work()
        if self.waiting:
            run = self.confirm()
            self.crew.work()
        run.refresh_from_db()
        shown = oracle.read_view(self.customer.shelf, ID_TYPE).columns
        assert run.state == RunState.FAILED or [column["name"] for column in run.columns] == [name for name, _ in shown]
        assert run.state == RunState.SUCCEEDED, f"the last run is {run.state}: {run.error_code} {run.error}"
        self.crew.tick()
        self.compare()
        kinds = oracle.bookkeeping(self.destination.client)
        assert kinds == {"marker"}, f"bookkeeping that is there: {sorted(kinds)}"
        while self.crew.sleepers:
            self.crew.wake(0)
        self.crew.tick()
        self.compare()
        return run

    def compare(self) -> None:
        """Compare the whole destination with the truth."""
        found = oracle.differences(
            self.destination.client,
            prefix=self.prefix,
            field_name=VIEW,
            truth=self.truth,
            foreign=self.foreign,
        )
        assert not found, "the destination is not the view:\n" + "\n".join(found)

    def clean(self) -> None:
        """Leave nothing to the next history."""
        while self.crew.sleepers:
            self.crew.wake(0, killed=True)
        connection.close()
        SyncRun.objects.all().delete()
        Suppression.objects.all().delete()
        Source.objects.all().delete()
        Activation.objects.all().delete()
        Project.objects.all().delete()
        RedisDestination.objects.all().delete()
        Warehouse.objects.all().delete()
        handles.close()

    @property
    def prefix(self) -> str:
        destination = self.source.destination
        return f"{destination.workspace_id}:{destination.public_id}:{ENTITY}:{ID_TYPE}:"

    def _note_snapshot(self, table: str) -> None:
        self.truth.take(_attempt(table), oracle.read_view(self.customer.shelf, ID_TYPE))
        self.shown[_attempt(table)] = list(self.customer.people)

    def _note_successes(self) -> None:
        """A run that succeeded has made its snapshot the truth."""
        ended = SyncRun.objects.filter(state=RunState.SUCCEEDED).exclude(pk__in=self.succeeded).order_by("pk")
        for run_id, kind, snapshot, columns in ended.values_list("pk", "kind", "snapshot", "columns"):
            self.succeeded.add(run_id)
            if kind == SyncRun.Kind.REMOVAL:
                self.customer.synced = []
                self.truth.remove()
                continue
            self.customer.synced = self.shown[_attempt(snapshot)]
            self.truth.succeed(_attempt(snapshot), [column["name"] for column in columns])


def _attempt(table: str) -> str:
    """The run and attempt that a table's name tells of."""
    return table.rpartition("_")[0]
