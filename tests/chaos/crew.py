"""The workers of a history and its beat: which steps there are to take, and the lives that take them."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from activation import partitions, recovery, run_steps, suppressions, watching
from activation.models import ACTIVE_STATES, RunState, SyncPartition, SyncRun
from tests.chaos.lives import Life, Plan, What, living

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
class Crew:
    """Everybody who works. `after_each` is called when a step has ended or fallen asleep."""

    after_each: Callable[[], None]
    sleepers: list[Sleeper] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def jobs(self) -> list[Job]:
        """List the steps that workers would be woken for; nobody waits for a pause to pass."""
        now = timezone.now()
        SyncRun.objects.filter(state__in=ACTIVE_STATES, not_before__gt=now).update(not_before=now)
        SyncPartition.objects.filter(not_before__gt=now).update(not_before=now)
        now = timezone.now()
        queued = SyncRun.objects.filter(state=RunState.QUEUED).values_list("pk", flat=True)
        jobs = [Job("snapshot", run_id) for run_id in queued]
        jobs += [Job("load", partition_id) for partition_id in partitions.waiting(now=now).values_list("pk", flat=True)]
        return [
            *jobs,
            *(Job("finish", run_id) for run_id in partitions.to_finish(now=now).values_list("pk", flat=True)),
        ]

    def live(self, job: Job, plan: Plan | None = None) -> Life:
        """Let a worker of its own take a step: it ends, crashes or falls asleep as planned."""
        life = Life(plan)
        self.lives.append(life)
        if plan is None or plan.what is not What.SLEEP:
            with living(life):
                job.do()
        else:
            self._live_in_thread(life, job)
        self.after_each()
        return life

    def wake(self, index: int, *, killed: bool = False) -> None:
        """Let one of the sleeping workers go on, or kill it."""
        self.sleepers.pop(index % len(self.sleepers)).wake(killed=killed)
        self.after_each()

    def tick(self) -> None:
        """Let the beat tick."""
        self.live(TICK)

    def give_up(self, plan: Plan | None = None) -> None:
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
            self.give_up()

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


def _play(life: Life, job: Job, failures: list[BaseException], ended: threading.Event) -> None:
    try:
        with living(life):
            job.do()
    except BaseException as error:  # noqa: BLE001 - told in the thread that waits for it
        failures.append(error)
    finally:
        connection.close()
        ended.set()
