"""`manage.py reset_two_factor`: for somebody who has lost both their second factor and their recovery codes.

Only whoever runs the installation can do it: an Admin of one organisation must not weaken an account that opens others.
"""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import people, two_factor
from accounts.models import User


class Command(BaseCommand):
    help = "Remove a person's authenticator app, passkeys and recovery codes; make sure that it is them who ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whose second factors to remove."""
        parser.add_argument("--email", required=True, help="whose second factors to remove")

    def handle(self, *args: object, email: str, **options: object) -> None:
        """Remove and record it."""
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            message = f"There is nobody with the e-mail address {email}."
            raise CommandError(message)
        if not two_factor.reset(user.pk):
            self.stdout.write(f"{user.email} had no second factor.")
            return
        people.by_operator("two_factor_reset", user, now=timezone.now())
        self.stdout.write(f"{user.email} logs in with the password alone until they set up a second factor again.")
