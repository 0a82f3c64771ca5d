"""`manage.py check_destination ID`: test the way to a Redis destination, step by step. Exit 0 only if all passed."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from activation import destinations
from activation.engine.probe import probe
from activation.models import RedisDestination


class Command(BaseCommand):
    help = "Test the connection to a Redis destination and tell which step failed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help="the destination's id")
        parser.add_argument("--organisation", metavar="SLUG", help="needed where several organisations adopted the id")

    def handle(self, *args: Any, **options: Any) -> None:
        destination = _destination(options["id"], options["organisation"])
        failed = False
        steps = probe(
            destinations.settings_of(destination),
            key_prefix=f"{destination.workspace_id}:{destination.public_id}:",
            allow_private=settings.ALLOW_PRIVATE_ADDRESSES,
            forbidden=destinations.forbidden_addresses(),
        )
        for step in steps:
            self.stdout.write(f"{step.state:<8} {step.name}: {step.message}")
            if step.cure:
                self.stdout.write(f"         {step.cure}")
            failed = failed or step.state == "failed"
        if failed:
            raise CommandError(f"{destination.name} cannot be used as it is.")
        self.stdout.write(f"{destination.name} is ready.")


def _destination(public_id: str, organisation: str | None) -> RedisDestination:
    found = RedisDestination.objects.filter(public_id=public_id)
    if organisation:
        found = found.filter(organisation__slug=organisation)
    try:
        return found.get()
    except RedisDestination.DoesNotExist:
        raise CommandError(f"There is no destination with the id {public_id}.") from None
    except RedisDestination.MultipleObjectsReturned:
        raise CommandError("Several organisations use this id. Name one with --organisation.") from None
