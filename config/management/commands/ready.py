"""`manage.py ready worker|beat`: tell a supervisor's health check whether they do their work. Exit 0 or 1."""

from collections import defaultdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from kombu.exceptions import OperationalError

from activation import pulse
from config.celery import app

ANSWER_WITHIN = 2.0
QUEUES = ("control", "load", "runner")


class Command(BaseCommand):
    help = "Tell whether workers answer, or whether beat's ticks are run: exits 0 only if so."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["worker", "beat"])
        parser.add_argument(
            "--queue", action="append", choices=QUEUES, help="ask about this queue only; may be repeated"
        )
        parser.add_argument("--name", help="ask this worker only, e.g. load@host (what `celery worker -n` says)")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "beat":
            self._look_at_beat()
        else:
            self._look_at_workers(options["queue"] or _all_queues(), options["name"])

    def _look_at_beat(self) -> None:
        if pulse.is_late():
            raise CommandError(
                f"No tick ran for {pulse.LATE_AFTER:.0f} seconds, or the cache does not say so. "
                "Look at beat, the control workers, the broker and the cache."
            )
        if pulse.is_broken():
            raise CommandError(
                f"Ticks run, but none did all of its work for {pulse.LATE_AFTER:.0f} seconds. "
                "The control workers' logs say tick_broke, and where."
            )
        self.stdout.write("beat is ready.")

    def _look_at_workers(self, queues: list[str], name: str | None) -> None:
        by_queue = _workers(name)
        missing = [queue for queue in queues if not by_queue[queue]]
        if missing:
            who = f"{name} does not answer" if name else "No worker answers"
            raise CommandError(
                f"{who} within {ANSWER_WITHIN:.0f} seconds for {' and '.join(missing)}. Look at its log."
            )
        for queue in queues:
            self.stdout.write(f"{queue}: {', '.join(sorted(by_queue[queue]))}")


def _all_queues() -> list[str]:
    return [queue for queue in QUEUES if queue != "runner" or settings.RUNNER_COMMAND]


def _workers(name: str | None) -> dict[str, set[str]]:
    """Ask the workers, or one of them, which queues they take from; returns their names by queue."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=ANSWER_WITHIN)
            asked = app.control.inspect([name] if name else None, timeout=ANSWER_WITHIN, connection=connection)
            answers = asked.active_queues() or {}
    except (OperationalError, OSError):
        raise CommandError("The broker does not answer. Look at BROKER_URL, and whether it runs.") from None
    found: dict[str, set[str]] = defaultdict(set)
    for worker, queues in answers.items():
        for queue in queues:
            found[queue["name"]].add(worker)
    return found
