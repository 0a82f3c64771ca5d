"""django-allauth's forms around passwords, with our labels instead of its placeholders."""

from typing import Any

from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.forms import ReauthenticateForm as AllauthReauthenticateForm
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import ResetPasswordKeyForm as AllauthResetPasswordKeyForm
from django import forms

PASSWORD_HELP = "At least 10 characters, not a common password, and unlike your name and e-mail address."  # noqa: S105 - a help text
TWICE_HELP = "Typed twice, so that a slip locks nobody out."


class LoginForm(AllauthLoginForm):  # type: ignore[misc]  # allauth has no types
    """allauth's, with labels instead of placeholders."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label(self.fields["login"], "E-mail")
        label(self.fields["password"], "Password")
        if "remember" in self.fields:
            label(self.fields["remember"], "Keep me logged in on this device")


class ChangePasswordForm(AllauthChangePasswordForm):  # type: ignore[misc]  # allauth has no types
    """allauth's, with labels instead of placeholders."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label(self.fields["oldpassword"], "Current password")
        label(self.fields["password1"], "New password", PASSWORD_HELP)
        label(self.fields["password2"], "New password again", TWICE_HELP)


class ResetPasswordForm(AllauthResetPasswordForm):  # type: ignore[misc]  # allauth has no types
    """Whose password is forgotten."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label(self.fields["email"], "E-mail", "The one you log in with. A link to set a new password goes there.")


class NewPasswordForm(AllauthResetPasswordKeyForm):  # type: ignore[misc]  # allauth has no types
    """The password instead of the forgotten one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label(self.fields["password1"], "New password", PASSWORD_HELP)
        label(self.fields["password2"], "New password again", TWICE_HELP)


class PasswordAgainForm(AllauthReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The password once more, before something that matters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label(self.fields["password"], "Password")


def label(field: forms.Field, text: str, help_text: str = "") -> None:
    """Give a field of allauth's a visible label and our help."""
    field.label, field.help_text = text, help_text
    field.widget.attrs.pop("placeholder", None)
