"""The letter with which somebody who has forgotten their password chooses a new one.

Sent and recorded by the worker: a page that did it itself would take longer for an address that has an account.
"""

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.urls import reverse

from accounts import letters, people
from accounts.models import User


def send(user_id: int, *, address: str | None) -> None:
    """Send a person the link, which `PASSWORD_RESET_TIMEOUT` and their next log-in end.

    Raises `letters.LetterNotSent`.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return
    people.password_reset_asked(user, address=address)
    parts = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    link = letters.link(reverse("account_reset_password_from_key", kwargs=parts))
    text = (
        "Somebody, probably you, has forgotten the password of your account at Activation API.\n\n"
        f"Choose a new one within two hours:\n{link}\n\n"
        "If that was not you, ignore this letter; your password stays as it is.\n"
    )
    letters.send(to=user.email, subject="Choose a new password", text=text)
