"""`manage.py token`: generate a personal access token for a member and print its text, this once."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import names, tokens
from accounts.actors import Actor
from accounts.models import Membership
from accounts.roles import Role


class Command(BaseCommand):
    help = "Generate a personal access token for a member and print its text; it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whose token it is, what it is called and what it may do."""
        parser.add_argument("--email", required=True, help="the member who owns the token")
        parser.add_argument("--name", required=True, help="what the token is called")
        parser.add_argument("--role", required=True, choices=[role.value for role in Role])
        parser.add_argument("--organisation", help="its slug; needed when the person belongs to several")

    def handle(
        self, *args: object, email: str, name: str, role: str, organisation: str | None, **options: object
    ) -> None:
        """Print the token's text alone on standard output."""
        membership = _membership(email.strip().lower(), organisation)
        owner = Actor(
            organisation=membership.organisation,
            role=Role(membership.role),
            name=membership.user.email,
            user_id=membership.user_id,
        )
        try:
            issued = tokens.issue(name=name, role=Role(role), by=owner, now=timezone.now())
        except (tokens.RoleTooStrong, names.NameRefused) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(issued.text)


def _membership(email: str, slug: str | None) -> Membership:
    memberships = Membership.objects.filter(user__email=email).select_related("user", "organisation")
    if slug is not None:
        memberships = memberships.filter(organisation__slug=slug)
    found = list(memberships[:2])
    if not found:
        raise CommandError(f"There is no member with the e-mail address {email}.")
    if len(found) > 1:
        raise CommandError(f"{email} belongs to several organisations. Name one with --organisation.")
    return found[0]
