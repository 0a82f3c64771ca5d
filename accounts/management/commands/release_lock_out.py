"""`manage.py release_lock_out`: let somebody who typed a wrong password too often log in again at once."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import lock_outs, people
from accounts.models import User


class Command(BaseCommand):
    help = "Let a person who is locked out after failed log-ins log in again at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whom to release."""
        parser.add_argument("--email", required=True, help="whom to release")

    def handle(self, *args: object, email: str, **options: object) -> None:
        """Release and record it."""
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            message = f"There is nobody with the e-mail address {email}."
            raise CommandError(message)
        lock_outs.release(user)
        people.by_operator("lock_out_released", user, now=timezone.now())
        self.stdout.write(f"{user.email} can log in again.")
