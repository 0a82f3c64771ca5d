"""`manage.py sync PROJECT`: sync all of a project's sources, and wait for the outcome if asked to."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.actors import Actor
from activation import run_progress, syncs, tasks
from activation.models import ACTIVE_STATES, RunState, Source, SyncRun
from projects.models import Project

POLL_EVERY = 0.1


class Command(BaseCommand):
    help = "Sync all sources of a project (its slug or public id); exits 0 only if every run succeeded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("--full", action="store_true", help="write every row anew")
        parser.add_argument("--wait", action="store_true", help="return when all runs have ended")
        parser.add_argument("--json", action="store_true", help="print the runs as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        sources = _sources(options["project"])
        by = Actor.system(sources[0].activation.project.organisation)
        runs = [_start(source, by, full=options["full"]) for source in sources]
        tasks.wake()
        if options["wait"]:
            runs = _wait(runs)
        if options["json"]:
            self.stdout.write(json.dumps({"runs": [_facts(run) for run in runs]}))
        else:
            for run in runs:
                self.stdout.write(f"{run.source}: {run.get_state_display()}{_ending(run)}")
        if options["wait"] and any(run.state != RunState.SUCCEEDED for run in runs):
            raise CommandError("Not every run succeeded.")


def _sources(name: str) -> list[Source]:
    projects = list(Project.objects.filter(public_id=name) or Project.objects.filter(slug=name))
    if len(projects) != 1:
        problem = "There is no project" if not projects else "Several organisations have a project"
        raise CommandError(f"{problem} {name!r}. Give a project's slug or public id.")
    sources = list(
        Source.objects.filter(activation__project=projects[0], status=Source.Status.ACTIVE, activation__enabled=True)
        .select_related("activation__project__organisation")
        .order_by("pk")
    )
    if not sources:
        raise CommandError(f"Enable sync to Redis is off for {name!r}. Turn it on in the project's settings.")
    return sources


def _start(source: Source, by: Actor, *, full: bool) -> SyncRun:
    """Start a run once none is active, or take part in one that has not begun: two callers want the same thing."""
    while True:
        try:
            return syncs.start(source, trigger=SyncRun.Trigger.COMMAND, by=by, now=timezone.now(), full=full)
        except syncs.AlreadyRunning:
            active = syncs.active_run(source)
            if (
                active is not None
                and active.state == RunState.QUEUED
                and (not full or active.kind == SyncRun.Kind.FULL)
            ):
                return active
            time.sleep(POLL_EVERY)


def _wait(runs: list[SyncRun]) -> list[SyncRun]:
    ids = [run.pk for run in runs]
    while SyncRun.objects.filter(pk__in=ids, state__in=ACTIVE_STATES).exists():
        time.sleep(POLL_EVERY)
    return list(SyncRun.objects.filter(pk__in=ids).select_related("source").order_by("source_id"))


def _facts(run: SyncRun) -> dict[str, Any]:
    done = run if run.state == RunState.SUCCEEDED else run_progress.of(run, now=timezone.now())
    return {
        "id": run.public_id,
        "connectionId": run.source.public_id,
        "entity": run.source.entity,
        "idType": run.source.id_type,
        "view": run.source.feature_view,
        "kind": run.kind,
        "state": run.state,
        "written": done.written,
        "deleted": done.deleted,
        "suppressed": done.suppressed,
        "failed": done.failed,
        "invalid": run.invalid_ids,
        "nullIds": run.null_ids,
        "error": run.error or None,
    }


def _ending(run: SyncRun) -> str:
    if run.state == RunState.SUCCEEDED:
        return f", {run.written:,} written, {run.deleted:,} deleted"
    return f", {run.error}" if run.error else ""
