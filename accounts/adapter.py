"""What django-allauth asks us: sign-up is closed, addresses come from trusted proxies only, log-ins are audited."""

from typing import Any, ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts import lock_outs, people, sessions, tasks
from accounts.addresses import client_address
from accounts.models import User

# allauth greets at every step; these are the only flash messages worth a person's time.
MESSAGES = {
    "account/messages/password_changed.txt": "Your password is changed.",
    "mfa/messages/totp_activated.txt": "The authenticator app is set up. You are asked for its code at each log-in.",
    "mfa/messages/totp_deactivated.txt": "The authenticator app is removed.",
    "mfa/messages/webauthn_added.txt": "The passkey is added.",
    "mfa/messages/webauthn_removed.txt": "The passkey is removed.",
    "mfa/messages/recovery_codes_generated.txt": "You have new recovery codes. Keep them where you keep passwords.",
}

ERRORS = {
    "email_password_mismatch": "This e-mail address and password do not belong together. Check both.",
    "too_many_login_attempts": "Too many failed log-ins. Wait five minutes, then try again.",
    "rate_limited": "Too many tries. Wait five minutes, then try again.",
    "enter_current_password": "This is not your current password.",
    "incorrect_password": "This is not your password.",
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Log-in, password change and reset by allauth, with our audit rows, our words and our idea of an address."""

    error_messages: ClassVar[dict[str, Any]] = {**DefaultAccountAdapter.error_messages, **ERRORS}

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up by themselves."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that rate limits count by; all whose address is unknown share one."""
        return client_address(request.META) or "unknown"

    def login(self, request: HttpRequest, user: User) -> None:
        """Log a person in and record it."""
        super().login(request, user)
        now = timezone.now()
        sessions.purge(user, now=now)
        sessions.note(request, user=user, now=now)
        people.logged_in(user, address=client_address(request.META))

    def logout(self, request: HttpRequest) -> None:
        """Log a person out and record it."""
        user = request.user
        sessions.forget(request.session.session_key)
        super().logout(request)
        if isinstance(user, User):
            people.logged_out(user, address=client_address(request.META))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failed passwords by the address alone: allauth would begin anew under each of our host names."""
        return lock_outs.password_key(credentials.get("email", ""))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse somebody who is locked out, and say for how long."""
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            end = lock_outs.until(credentials.get("email", ""))
            if end is None:
                raise
            wait = lock_outs.words(end, now=timezone.now())
            message = (
                f"Too many failed log-ins: this address is locked out {wait}. "
                "An Admin of your organisation can release it sooner."
            )
            raise ValidationError(message) from None

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a failed log-in of somebody we know. The page says the same for somebody we do not."""
        email = credentials.get("email", "")
        locked_out = lock_outs.until(email) is not None
        people.log_in_failed(email, address=client_address(request.META), locked_out=locked_out)

    def set_password(self, user: User, password: str) -> None:
        """Change a password, end a lock-out, log other browsers out, and tell the person."""
        super().set_password(user, password)
        lock_outs.release(user)
        request = self.request
        keep = request.session.session_key if request.user == user else None
        sessions.end_others(user, keep=keep)
        people.password_changed(user, address=client_address(request.META))
        tell(user, "Your password was changed", "The password of your account at Activation API was changed.")

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        """Leave the letter to the worker."""
        tasks.wake_password_reset(user.pk, address=client_address(self.request.META))

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Tell somebody with the right password whose account is off."""
        messages.error(request, "This account is switched off. Ask an Admin of your organisation.")
        return redirect("account_login")

    def add_message(
        self, request: HttpRequest, level: int, message_template: str = "", *args: Any, **kwargs: Any
    ) -> None:
        """Keep to the messages of `MESSAGES`, and to those that say what went wrong."""
        if message_template in MESSAGES:
            messages.add_message(request, level, MESSAGES[message_template])
        elif level == messages.ERROR and kwargs.get("message"):
            messages.error(request, kwargs["message"])


def tell(user: User, subject: str, text: str) -> None:
    """Send a person news about their account, and what to do when it was not them."""
    advice = "If that was not you, choose a new password at once and tell an Admin of your organisation."
    tasks.wake_notice(to=user.email, subject=subject, text=f"{text}\n\n{advice}\n")
