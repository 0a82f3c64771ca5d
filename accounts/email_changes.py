"""A person's new e-mail address counts once they have opened the link that was sent to it.

The link says whose address becomes which, signed, for a day. It names the present address too, so that it opens nothing
once that has changed; and only the person themselves, logged in, can use it: a letter that went to a stranger by a
slip of the pen gives them nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse

from accounts import letters, people
from accounts.models import User

VALID_FOR = timedelta(days=1)
_SALT = "accounts.email_changes"


class SameAddress(Exception):
    """The new address is the present one."""

    def __init__(self) -> None:
        super().__init__("This is your e-mail address already.")


class LinkClosed(Exception):
    """The link is not ours, too old, used, or somebody else's; or the address belongs to another account by now."""

    def __init__(self) -> None:
        super().__init__("This link is no longer open. Ask for a new one on your profile page.")


@dataclass(frozen=True)
class Change:
    """What a link stands for."""

    user: User
    former: str
    email: str


def ask(user: User, *, email: str) -> None:
    """Send the link to the new address. Raises `SameAddress`, `letters.LetterNotSent`.

    An address that has an account already gets a letter that says so, and the page learns nothing.
    """
    email = email.strip().lower()
    if email == user.email:
        raise SameAddress
    if User.objects.filter(email=email).exists():
        text = f"{user.email} asked to log in with this address instead, but it has an account of its own.\n"
    else:
        token = signing.dumps({"user": user.public_id, "former": user.email, "email": email}, salt=_SALT)
        link = letters.link(reverse("accounts:email_confirm", kwargs={"token": token}))
        text = (
            f"{user.email} asked to log in to Activation API with this address instead.\n\n"
            f"Open this link within a day, logged in as {user.email}, to confirm it:\n{link}\n\n"
            "If that was not you, ignore this letter; nothing changes.\n"
        )
    letters.send(to=email, subject="Confirm your new e-mail address", text=text)


def find(token: str, *, user: User) -> Change:
    """Return what the link of a logged-in person stands for. Raises `LinkClosed`."""
    try:
        said = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    except signing.BadSignature:
        raise LinkClosed from None
    if (said["user"], said["former"]) != (user.public_id, user.email):
        raise LinkClosed
    return Change(user, said["former"], said["email"])


@transaction.atomic
def confirm(change: Change, *, address: str | None, now: datetime) -> None:
    """Have the person log in with the new address from now on. Raises `LinkClosed`."""
    try:
        with transaction.atomic():
            present = User.objects.filter(pk=change.user.pk, email=change.former)
            if not present.update(email=change.email):
                raise LinkClosed
    except IntegrityError:
        raise LinkClosed from None
    # What single sign-on noted of the former address must find nobody any more.
    EmailAddress.objects.filter(user=change.user).delete()
    change.user.email = change.email
    people.email_changed(change.user, former=change.former, address=address, now=now)
