"""What django-allauth's second factors ask and tell us: secrets are encrypted, what happens to them is audited."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from allauth.mfa import signals
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from accounts import people, two_factor, vault
from accounts.adapter import tell
from accounts.addresses import client_address
from accounts.models import User

NAMES = {
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}
ERRORS = {
    "incorrect_code": "This code is not right. Codes work once and change every 30 seconds; try the next one.",
    "cannot_delete_authenticator": (
        "An organisation of yours requires two-factor log-in, and this is your only second factor. "
        "Add another one first."
    ),
    "cannot_generate_recovery_codes": "Set up an authenticator app or a passkey first.",
}


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Authenticator apps, passkeys and recovery codes by allauth, encrypted with `ENCRYPTION_KEYS`."""

    error_messages: ClassVar[dict[str, Any]] = {**DefaultMFAAdapter.error_messages, **ERRORS}

    def get_totp_issuer(self) -> str:
        """Name the product in the authenticator app."""
        return "Activation API"

    def encrypt(self, text: str) -> str:
        """Encrypt a secret for the database."""
        return vault.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a secret of the database."""
        return vault.decrypt(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Keep the last factor of somebody whose organisation asks for one."""
        others = two_factor.factors(authenticator.user_id).exclude(pk=authenticator.pk)
        return others.exists() or not two_factor.demanding(authenticator.user_id).exists()

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - allauth's name
        """Propose a name for a passkey."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return f"Passkey {number}" if number > 1 else "Passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Bind passkeys to the host name of `PUBLIC_URL`, whatever a request calls its host."""
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "localhost", "name": "Activation API"}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        """Name the person on the passkey."""
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return {**entity, "display_name": user.name or user.email}


def listen() -> None:
    """Have the audit log told what happens to second factors."""
    for signal, receiver in (
        (signals.authenticator_added, _added),
        (signals.authenticator_removed, _removed),
        (signals.authenticator_reset, _renewed),
        (signals.authenticator_used, _used),
        (signals.authentication_failed, _failed),
    ):
        signal.connect(receiver, dispatch_uid=f"{__name__}.{receiver.__name__}")


def _added(*, request: HttpRequest, user: User, authenticator: Authenticator, **_: object) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        return  # they come with the first factor
    _record("two_factor_added", request, user, authenticator)
    name = NAMES[authenticator.type]
    tell(user, "Two-factor log-in was set up", f"You can log in to Activation API with a new {name} from now on.")


def _removed(*, request: HttpRequest, user: User, authenticator: Authenticator, **_: object) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        return  # they go with the last factor
    _record("two_factor_removed", request, user, authenticator)
    name = NAMES[authenticator.type]
    tell(user, "A second factor was removed", f"The {name} of your account at Activation API was removed.")


def _renewed(*, request: HttpRequest, user: User, authenticator: Authenticator, **_: object) -> None:
    _record("recovery_codes_renewed", request, user, authenticator)
    tell(user, "You have new recovery codes", "The recovery codes of your account were renewed. The old ones are void.")


def _used(*, request: HttpRequest, user: User, authenticator: Authenticator, **_: object) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        _record("recovery_code_used", request, user, authenticator)
        tell(user, "A recovery code was used", "Somebody logged in to your account with a recovery code.")


def _failed(*, request: HttpRequest, user: User, **_: object) -> None:
    people.log_in_failed(user.email, address=client_address(request.META))


def _record(action: str, request: HttpRequest, user: User, authenticator: Authenticator) -> None:
    details: dict[str, object] = {"factor": NAMES[authenticator.type]}
    people.two_factor_changed(action, user, address=client_address(request.META), details=details)
