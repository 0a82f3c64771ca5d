"""The first visit: an empty database becomes an organisation with its first Admin, once.

Whoever opens the page first must not own the installation, so it asks for a code that only somebody on the machine can
print (`manage.py setup_code`). The code is kept as a digest, for an hour, for five tries and one use; a new one ends
those before it. A try is spent by a conditional UPDATE before the code is compared, so that guesses sent at once do
not count as one.
"""

import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import organisations, vault
from accounts.models import Organisation, SetupCode, User

VALID_FOR = timedelta(hours=1)
TRIES = 5
# Without the letters and digits that people take for one another.
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP_LENGTH = 3, 4


class AlreadySetUp(Exception):
    """The installation has an organisation; nobody becomes an Admin this way any more."""

    def __init__(self) -> None:
        super().__init__("This installation is set up already. Log in, or ask an Admin to add you.")


class CodeRefused(Exception):
    """The set-up code is wrong, used, too old or out of tries."""

    def __init__(self, tries_left: int) -> None:
        self.tries_left = tries_left
        if tries_left:
            left = "One try is" if tries_left == 1 else f"{tries_left} tries are"
            super().__init__(f"This is not the set-up code. {left} left.")
        else:
            super().__init__("There is no code left to try. Run manage.py setup_code on the server for a new one.")


def needed() -> bool:
    """Tell whether nobody has set this installation up yet."""
    return not Organisation.objects.exists()


@transaction.atomic
def new_code(*, now: datetime | None = None) -> str:
    """Make a fresh code and return it; codes made before open nothing any more. Raises `AlreadySetUp`."""
    if not needed():
        raise AlreadySetUp
    now = now or timezone.now()
    SetupCode.objects.all().delete()
    code = "-".join(_group() for _ in range(_GROUPS))
    pepper = settings.TOKEN_PEPPERS[vault.newest_version(settings.TOKEN_PEPPERS)]
    SetupCode.objects.create(digest=_digest(pepper, code), created_at=now, expires_at=now + VALID_FOR, tries_left=TRIES)
    return code


def complete(
    *, code: str, organisation: str, name: str, email: str, password: str, now: datetime, address: str | None = None
) -> tuple[User, Organisation]:
    """Create the organisation and its first Admin.

    Raises `CodeRefused`, `AlreadySetUp`. A wrong code costs a try even though nothing else is kept.
    """
    if not needed():
        raise AlreadySetUp
    held = _spend_try(code, now)
    with transaction.atomic():
        if not SetupCode.objects.filter(pk=held.pk, used_at=None).update(used_at=now):
            raise CodeRefused(0)
        if not needed():
            raise AlreadySetUp
        user = User.objects.create_user(email, password, name=name)
        return user, organisations.create(name=organisation, founder=user, now=now, address=address)


def _spend_try(code: str, now: datetime) -> SetupCode:
    open_codes = SetupCode.objects.filter(used_at=None, expires_at__gt=now, tries_left__gt=0)
    held = open_codes.order_by("-pk").first()
    if held is None or not open_codes.filter(pk=held.pk).update(tries_left=F("tries_left") - 1):
        raise CodeRefused(0)
    peppers: dict[int, bytes] = settings.TOKEN_PEPPERS
    if not any(hmac.compare_digest(bytes(held.digest), _digest(pepper, code)) for pepper in peppers.values()):
        held.refresh_from_db()
        raise CodeRefused(held.tries_left)
    return held


def _digest(pepper: bytes, code: str) -> bytes:
    """Digest a code as people type it: in any case, with or without the dashes."""
    return vault.digest(pepper, "".join(character for character in code.upper() if character.isalnum()))


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH))
