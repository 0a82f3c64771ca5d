"""What people type about organisations and themselves, checked and turned into values."""

from typing import Any

from django import forms
from django.contrib.auth import password_validation

from accounts.login_forms import PASSWORD_HELP
from accounts.models import User
from accounts.names import NameField
from accounts.roles import Role


def password_field() -> forms.CharField:
    """Return a field for a password that somebody chooses."""
    return forms.CharField(
        label="Password",
        max_length=1000,
        strip=False,
        help_text=PASSWORD_HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


def name_field(label: str) -> NameField:
    """Return a field for what a person is called."""
    return NameField(
        label=label,
        help_text="What colleagues see beside your e-mail address.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class SetUpForm(forms.Form):
    """The organisation and its first Admin. `code` stands first: without it the rest is for nothing."""

    code = forms.CharField(
        label="Set-up code",
        max_length=40,
        help_text="Printed on the server by manage.py setup_code; good for an hour and five tries.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "class": "mono", "spellcheck": "false"}),
    )
    organisation = NameField(
        label="Organisation",
        help_text="Your company, as its members see it. You may rename it later.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    name = name_field("Your name")
    email = forms.EmailField(
        label="Your e-mail",
        max_length=254,
        help_text="You log in with it, and letters about your account go there.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = password_field()

    def clean(self) -> dict[str, Any]:
        """Hold the password against the rules, the person's own name and address included."""
        values: dict[str, Any] = self.cleaned_data
        _check_password(self, User(email=values.get("email", ""), name=values.get("name", "")))
        return values


class RoleForm(forms.Form):
    """A member's role, and what an Admin may grant an Editor beyond it."""

    role = forms.ChoiceField(label="Role", choices=Role.choices, widget=forms.RadioSelect)
    sees_personal_data = forms.BooleanField(
        label="Sees personal data",
        required=False,
        help_text="Lets an Editor look up profiles and see sample rows and failed ids, as Admins may.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sees_personal_data"].shown_with = "role=editor"  # type: ignore[attr-defined]  # for form_field


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        help_text="The link to join goes there, and is for this address only.",
        widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER, widget=forms.RadioSelect)

    def clean_email(self) -> str:
        """Addresses are kept in lower case, so that one names one person."""
        email: str = self.cleaned_data["email"]
        return email.lower()


class JoinForm(forms.Form):
    """The account of somebody who accepts an invitation and has none."""

    name = name_field("Your name")
    password = password_field()

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean(self) -> dict[str, Any]:
        """Hold the password against the rules, the person's own name and address included."""
        values: dict[str, Any] = self.cleaned_data
        _check_password(self, User(email=self._email, name=values.get("name", "")))
        return values


class OrganisationForm(forms.Form):
    """What an organisation is called, and what it asks of its members."""

    name = NameField(
        label="Name",
        help_text="What members see. The address of its pages stays as it is.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    requires_two_factor = forms.BooleanField(
        label="Require two-factor log-in",
        required=False,
        help_text="Members without a second factor see nothing here until they have set one up. Tokens go on working.",
    )


class NewOrganisationForm(forms.Form):
    """Another organisation."""

    name = NameField(
        label="Name",
        help_text="It has members, projects, destinations and tokens of its own. You become its first Admin.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class ProfileForm(forms.Form):
    """What colleagues see of a person."""

    name = name_field("Name")


class EmailForm(forms.Form):
    """The address somebody wants to log in with from now on."""

    email = forms.EmailField(
        label="New e-mail",
        max_length=254,
        help_text="We send a link to it. Your present address counts until you open the link.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


def _check_password(form: forms.Form, person: User) -> None:
    """Hold the password of `form` against the rules, unlike the name and address of `person`."""
    password = form.cleaned_data.get("password")
    if password:
        try:
            password_validation.validate_password(password, person)
        except forms.ValidationError as error:
            form.add_error("password", error)
