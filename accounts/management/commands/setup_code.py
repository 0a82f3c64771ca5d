"""`manage.py setup_code`: print the one-time code of the set-up page."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import setup


class Command(BaseCommand):
    help = "Print the one-time code of the set-up page: good for an hour, five tries and one use."

    def handle(self, *args: object, **options: object) -> None:
        """Print the code alone on standard output, and what to do with it on standard error."""
        try:
            code = setup.new_code()
        except setup.AlreadySetUp as error:
            raise CommandError(str(error)) from None
        self.stdout.write(code)
        self.stderr.write(f"Enter it at {settings.PUBLIC_URL}/setup/ within an hour.")
