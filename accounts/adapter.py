"""What django-allauth asks us: sign-up is closed, addresses come from trusted proxies only, log-ins are audited."""

from typing import Any, ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import people
from accounts.addresses import client_address
from accounts.models import User

# allauth greets at every step; these are the only flash messages worth a person's time.
MESSAGES = {"account/messages/password_changed.txt": "Your password is changed."}

ERRORS = {
    "email_password_mismatch": "This e-mail address and password do not belong together. Check both.",
    "too_many_login_attempts": "Too many failed log-ins. Wait five minutes, then try again.",
    "enter_current_password": "This is not your current password.",
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Log-in and password change by allauth, with our audit rows, our words and our idea of an address."""

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
        people.logged_in(user, address=client_address(request.META))

    def logout(self, request: HttpRequest) -> None:
        """Log a person out and record it."""
        user = request.user
        super().logout(request)
        if isinstance(user, User):
            people.logged_out(user, address=client_address(request.META))

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a failed log-in of somebody we know. The page says the same for somebody we do not."""
        people.log_in_failed(credentials.get("email", ""), address=client_address(request.META))

    def set_password(self, user: User, password: str) -> None:
        """Change a password and record it."""
        super().set_password(user, password)
        people.password_changed(user, address=client_address(self.request.META))

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Tell somebody with the right password whose account is off."""
        messages.error(request, "This account is switched off. Ask an Admin of your organisation.")
        return redirect("account_login")

    def add_message(
        self, request: HttpRequest, level: int, message_template: str = "", *args: Any, **kwargs: Any
    ) -> None:
        """Keep to the messages of `MESSAGES`."""
        if message_template in MESSAGES:
            messages.add_message(request, level, MESSAGES[message_template])
