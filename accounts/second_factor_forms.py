"""django-allauth's forms around second factors, with our labels."""

from typing import Any

from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms

from accounts.login_forms import label
from accounts.names import NameField

_CODE = {"inputmode": "numeric", "autocomplete": "one-time-code", "class": "mono", "spellcheck": "false"}
_LONGEST_CODE = 20
_NAME_HELP = "So that you know it from others."


class CodeForm(AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The second step of a log-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_code(self.fields["code"], "Code", "Of your authenticator app, or one of your recovery codes.")


class CodeAgainForm(ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """A code once more, before something that matters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_code(self.fields["code"], "Code", "Of your authenticator app, or one of your recovery codes.")


class ActivateAppForm(ActivateTOTPForm):  # type: ignore[misc]  # allauth has no types
    """The first code of an authenticator app."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_code(self.fields["code"], "Code", "The six digits that the app shows now.")


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey's name, and whether it opens the account by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = NameField(label="Name", required=False, help_text=_NAME_HELP)
        self.order_fields(["name", "passwordless"])
        box = self.fields["passwordless"]
        box.label, box.initial = "Log in with it instead of a password", True
        box.help_text = "Wants a fingerprint, a face or a PIN. Without: it is the second step after your password."


class RenamePasskeyForm(EditWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """A passkey's name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = NameField(label="Name", help_text=_NAME_HELP)


def _name_code(field: forms.Field, text: str, help_text: str) -> None:
    label(field, text, help_text)
    field.widget.attrs.update(_CODE)
    field.validators.append(forms.CharField(max_length=_LONGEST_CODE).validators[0])
