"""One history: the records, the customer, the destination, and workers whose lives the test plays."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.actors import Actor
from accounts.identifiers import new_public_id
from accounts.identities import TokenIdentity
from activation import guard, handles, lifts, partitions, recovery, run_steps, serving, suppressions, syncs, watching
from activation.models import (
    ACTIVE_STATES,
    Activation,
    DeletedProfilesPolicy,
    GuardChoice,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncPartition,
    SyncRun,
)
from activation.serving import ProfileId
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse
from tests.activation.world import build
from tests.cast import Member
from tests.chaos import oracle
from tests.chaos.customer import IGNORED, VIEW, Customer
from tests.chaos.destination import Destination
from tests.chaos.lives import Life, Plan, What, living
from tests.chaos.oracle import Truth
from tests.chaos.warehouse import Shelf

ENTITY, ID_TYPE = "user", "number"
GUARD_ROWS = 4
_LONG = timedelta(minutes=1)


@dataclass(frozen=True)
class Job:
    """A step that a worker could take now."""

    name: str
    id: int

    def do(self) -> None:
        """Take it, as the task does."""
        step = {
            "snapshot": run_steps.take_snapshot,
            "load": run_steps.load_partition,
            "finish": run_steps.finish,
            "tick": _tick,
        }[self.name]
        with suppress(OperationalError):  # a task that finds our database away ends, and its message with it
            step(self.id, now=timezone.now())


def _tick(_: int, *, now: datetime) -> None:
    """Do what the beat's tick does for runs and deletes."""
    recovery.put_back_stalled(now=now)
    recovery.close_left_fences(now=now)
    watching.start_follow_ups(now=now)
    watching.start_syncs_of_new_runs(now=now)
    suppressions.retry_pending(now + _LONG)


TICK = Job("tick", 0)


@dataclass
class Sleeper:
    """A life that is suspended, in a thread of its own."""

    life: Life
    thread: threading.Thread
    failures: list[BaseException]

    def wake(self, *, killed: bool = False) -> None:
        """Let it go on to its end, or end it where it sleeps."""
        self.life.crashed = killed
        self.life.awake.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.failures:
            raise self.failures[0]


@dataclass
class History:
    """What happens to one source, from an empty destination to the last comparison."""

    source: Source
    identity: TokenIdentity
    customer: Customer
    destination: Destination
    truth: Truth = field(default_factory=Truth)
    sleepers: list[Sleeper] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    foreign: dict[str, dict[str, str]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    succeeded: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.customer.shelf.on_view_read = self._note_snapshot

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
        self.lives.append(life)
        ids = [ProfileId(ID_TYPE, number) for number in numbers]
        destination = self.source.destination.public_id
        answered = False
        with living(life):
            try:
                serving.delete(self.identity, destination=destination, entity=ENTITY, ids=ids, now=timezone.now())
                answered = True
            except serving.DeletePending:
                answered = True
            except (handles.DestinationUnavailable, handles.ServiceUnavailable, OperationalError):
                pass  # nobody was promised anything
        # Without an answer it counts if it was committed: all of a request's suppressions are, or none.
        if stays and (answered or Suppression.objects.count() > known):
            self.truth.suppressed |= set(numbers)

    def write_elsewhere(self, number: str) -> None:
        """Let another program write a field of its own to a person's key."""
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

    def jobs(self) -> list[Job]:
        """List the steps that workers would be woken for; nobody waits for a pause to pass."""
        now = timezone.now()
        SyncRun.objects.update(not_before=now)
        SyncPartition.objects.update(not_before=now)
        now = timezone.now()
        queued = SyncRun.objects.filter(state=RunState.QUEUED).values_list("pk", flat=True)
        jobs = [Job("snapshot", run_id) for run_id in queued]
        jobs += [Job("load", partition_id) for partition_id in partitions.waiting(now=now).values_list("pk", flat=True)]
        return [
            *jobs,
            *(Job("finish", run_id) for run_id in partitions.to_finish(now=now).values_list("pk", flat=True)),
        ]

    def step(self, which: int = 0, plan: Plan | None = None, *, twice: bool = False) -> None:
        """Let a worker take one of the steps there are to take; where there is none, somebody asks for a sync first.

        With `twice` its message is doubled.
        """
        jobs = self.jobs()
        if not jobs:
            self.give_up_workers()
            self.start()
            jobs = self.jobs()
        if jobs:
            for _ in range(1 + twice):
                self.live(jobs[which % len(jobs)], plan)

    def advance(self, steps: int) -> None:
        """Let healthy workers take some steps."""
        for _ in range(steps):
            self.step()

    def live(self, job: Job, plan: Plan | None = None) -> Life:
        """Let a worker of its own take a step: it ends, crashes or falls asleep as planned."""
        life = Life(plan)
        self.lives.append(life)
        if plan is None or plan.what is not What.SLEEP:
            with living(life):
                job.do()
        else:
            self._live_in_thread(life, job)
        self._note_successes()
        return life

    def wake(self, index: int, *, killed: bool = False) -> None:
        """Let one of the sleeping workers go on, or kill it."""
        self.sleepers.pop(index % len(self.sleepers)).wake(killed=killed)
        self._note_successes()

    def tick(self) -> None:
        """Let the beat tick."""
        self.live(TICK)

    def give_up_workers(self, plan: Plan | None = None) -> None:
        """Let the lease of every claim run out, as if nobody had sent a heartbeat, and tick."""
        long_ago = timezone.now() - timedelta(seconds=settings.SYNC_LEASE + 5)
        SyncRun.objects.filter(heartbeat_at__isnull=False).update(heartbeat_at=long_ago)
        SyncPartition.objects.filter(heartbeat_at__isnull=False).update(heartbeat_at=long_ago)
        self.live(TICK, plan)

    def work(self, *, rounds: int = 40) -> None:
        """Let healthy workers do all there is to do, while the lease of dead ones runs out."""
        for _ in range(rounds):
            for job in self.jobs():
                self.live(job)
            if not SyncRun.objects.filter(state__in=ACTIVE_STATES).exists():
                return
            self.give_up_workers()

    # The end.

    def conclude(self) -> SyncRun:
        """Bring everything back to life, sync once more, and compare; then wake who still sleeps, and compare again."""
        while self.broken:
            self.heal(everything=True)
        self.work()
        run = self.start()
        assert run is not None, "a run stays active though everybody works"
        self.work()
        if self.waiting:
            run = self.confirm()
            self.work()
        run.refresh_from_db()
        shown = oracle.read_view(self.customer.shelf, ID_TYPE).columns
        assert run.state == RunState.FAILED or [column["name"] for column in run.columns] == [name for name, _ in shown]
        assert run.state == RunState.SUCCEEDED, f"the last run is {run.state}: {run.error_code} {run.error}"
        self.tick()
        self.compare()
        kinds = oracle.bookkeeping(self.destination.client)
        assert kinds == {"marker"}, f"bookkeeping that is there: {sorted(kinds)}"
        while self.sleepers:
            self.wake(0)
        self.tick()
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
        while self.sleepers:
            self.wake(0, killed=True)
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

    def _live_in_thread(self, life: Life, job: Job) -> None:
        failures: list[BaseException] = []
        ended = threading.Event()
        thread = threading.Thread(target=partial(_play, life, job, failures, ended), name="worker")
        thread.start()
        while not (ended.is_set() or life.asleep.wait(0.001)):
            continue
        sleeper = Sleeper(life, thread, failures)
        if life.asleep.is_set() and not ended.is_set():
            self.sleepers.append(sleeper)
        else:
            sleeper.wake()

    def _note_snapshot(self, table: str) -> None:
        self.truth.take(_attempt(table), oracle.read_view(self.customer.shelf, ID_TYPE))

    def _note_successes(self) -> None:
        """A run that succeeded has made its snapshot the truth."""
        ended = SyncRun.objects.filter(state=RunState.SUCCEEDED).exclude(pk__in=self.succeeded).order_by("pk")
        for run_id, snapshot, columns in ended.values_list("pk", "snapshot", "columns"):
            self.succeeded.add(run_id)
            self.truth.succeed(_attempt(snapshot), [column["name"] for column in columns])


def begin(member: Member, identity: TokenIdentity, shelf: Shelf, destination: Destination) -> History:
    """Begin a history: an empty destination, a source that was never synced, and nobody in its view."""
    destination.clean()
    shelf.empty()
    source = build(member.actor, destination.server).source
    source.entity, source.id_type, source.id_column = ENTITY, ID_TYPE, ID_TYPE
    source.feature_view = source.relation = VIEW
    source.ignored_columns = [IGNORED]
    source.save()
    Activation.objects.update(guard_rows=GUARD_ROWS)
    customer = Customer(shelf)
    customer.write()
    return History(source, identity, customer, destination)


def _attempt(table: str) -> str:
    """The run and attempt that a table's name tells of."""
    return table.rpartition("_")[0]


def _play(life: Life, job: Job, failures: list[BaseException], ended: threading.Event) -> None:
    try:
        with living(life):
            job.do()
    except BaseException as error:  # noqa: BLE001 - told in the thread that waits for it
        failures.append(error)
    finally:
        connection.close()
        ended.set()
