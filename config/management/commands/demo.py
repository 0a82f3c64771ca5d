"""`manage.py demo [--json]`: seed the demo and return once its example answers."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from config import demo


class Command(BaseCommand):
    help = "Seed the demo into an empty database (or show it again) and wait until its example answers; needs `up`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the demo's facts as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = demo.seed()
            demo.wait_until_it_answers(made)
        except (demo.OtherOrganisation, demo.DemoNotReady) as error:
            raise CommandError(str(error)) from None
        except DatabaseError:
            raise CommandError("The database is not there, or not made yet. Start `manage.py up` first.") from None
        facts = made.facts()
        self.stdout.write(json.dumps(facts) if options["json"] else describe(facts))


def describe(facts: dict[str, Any]) -> str:
    """Return the demo's facts for a person."""
    return "\n".join(
        (
            f"  Open            {facts['url']}",
            f"  Log in          {facts['email']}  {facts['password']}",
            f"  Destination id  {facts['destinationId']}",
            f"  Token           {facts['token']}",
            "",
            f"  {facts['curl']}",
        )
    )
