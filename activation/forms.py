"""What people fill in to turn the sync on: a Redis of theirs, or one of the organisation's.

Labels are those of the hosted product. Secrets are never put back into a form: an earlier try's are kept encrypted
and stand in for a field left empty.
"""

from typing import Any

from django import forms

from activation.destinations import possible_id
from activation.engine.redis_settings import RedisSettings, SettingsInvalid
from activation.models import RedisDestination
from projects.models import Project

_ID_RULE = "An id has 1 to 100 characters and no blanks or colons."
_NAME_LENGTH = 100


class ConnectForm(forms.Form):
    """Connects a new Redis. `plain()` returns settings and credentials by their names in the hosted product."""

    address = forms.CharField(
        max_length=2000,
        help_text="e.g. localhost:6379. In cluster mode, several separated by commas.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    clusterMode = forms.BooleanField(required=False, label="Cluster Mode")  # noqa: N815 - the hosted name
    secure = forms.BooleanField(required=False, label="Secure", help_text="Encrypt the connection with TLS.")
    skipVerify = forms.BooleanField(  # noqa: N815 - the hosted name
        required=False, label="Skip verify", help_text="Accept a self-signed certificate. Only with Secure."
    )
    caCertificate = forms.CharField(  # noqa: N815 - the hosted name
        required=False,
        max_length=20_000,
        label="CA certificate",
        help_text="PEM text, where your provider's certificates are signed by its own authority. Only with Secure.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
    )
    username = forms.CharField(
        required=False, max_length=200, label="Username", help_text="A Redis ACL user. Empty for the default user."
    )
    database = forms.IntegerField(required=False, min_value=0, max_value=99_999, initial=0, help_text="0 in a cluster.")
    name = forms.CharField(
        required=False,
        max_length=_NAME_LENGTH,
        help_text="What it is called here. Empty for a suggestion.",
    )
    workspace_id = forms.CharField(
        required=False,
        max_length=100,
        label="Existing workspace ID",
        help_text="To adopt profiles that are in this Redis already: the first part of their keys.",
    )
    public_id = forms.CharField(
        required=False, max_length=100, label="Existing destination ID", help_text="The second part of their keys."
    )
    earlier = forms.CharField(required=False, widget=forms.HiddenInput)

    more = ("username", "database", "skipVerify", "caCertificate", "name", "workspace_id", "public_id")
    _secrets = ("password", "caCertificate")
    _flags = ("clusterMode", "secure", "skipVerify")
    _shown_with = (("database", "clusterMode=off"), ("skipVerify", "secure=on"), ("caCertificate", "secure=on"))

    def __init__(
        self, *args: Any, project: Project, kept: dict[str, str] | None = None, kept_for: str = "", **kwargs: Any
    ) -> None:
        """`kept` holds the secrets of an earlier try, used where a field is left empty and the address is the same."""
        super().__init__(*args, **kwargs)
        self.project, self.kept, self.kept_for = project, kept or {}, kept_for
        for name in self._secrets:
            self.fields[name].stored = bool(self.kept.get(name))  # type: ignore[attr-defined]  # read by form_field
        for name, choice in self._shown_with:
            self.fields[name].shown_with = choice  # type: ignore[attr-defined]  # read by form_field

    def clean_name(self) -> str:
        """Take the typed name, or the first free one made from the project's."""
        name = str(self.cleaned_data["name"]).strip()
        taken = set(
            RedisDestination.objects.filter(organisation=self.project.organisation).values_list("name", flat=True)
        )
        if name in taken:
            raise forms.ValidationError(f"Your organisation already has a destination called {name}.")
        return name or _first_free(f"{self.project.name} Redis", taken)

    def clean_workspace_id(self) -> str:
        """Refuse what no key could begin with."""
        return _adoptable(self.cleaned_data["workspace_id"])

    def clean_public_id(self) -> str:
        """Refuse what no key could hold, and an id the organisation has already."""
        public_id = _adoptable(self.cleaned_data["public_id"])
        present = RedisDestination.objects.filter(organisation=self.project.organisation, public_id=public_id)
        if public_id and present.exists():
            raise forms.ValidationError("Your organisation already has a destination with this id.")
        return public_id

    def clean(self) -> dict[str, Any]:
        """Find everything that needs no connection to be seen as wrong."""
        cleaned = super().clean() or self.cleaned_data
        if self.kept.get("password") and not cleaned.get("password") and not self._same_server():
            self.add_error("password", "Enter the password again, because you changed the address.")
        try:
            RedisSettings.from_plain(*self.plain())
        except SettingsInvalid as invalid:
            for key, message in invalid.errors.items():
                if key in self.fields and key not in self.errors:
                    self.add_error(key, message)
        return cleaned

    def plain(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return (settings, credentials), a kept secret where its field was left empty."""
        given = self.cleaned_data
        settings: dict[str, Any] = {name: bool(given.get(name)) for name in self._flags}
        settings["address"] = given.get("address", "")
        settings["database"] = 0 if settings["clusterMode"] else given.get("database") or 0
        if given.get("username"):
            settings["username"] = given["username"]
        # A secret goes only to the server it was typed for.
        kept = self.kept if self._same_server() else {}
        secrets = {name: given.get(name) or kept.get(name, "") for name in self._secrets}
        return settings, {name: value for name, value in secrets.items() if value}

    def adopted(self) -> dict[str, str]:
        """Return the ids of data to adopt, those that were given."""
        return {name: self.cleaned_data[name] for name in ("public_id", "workspace_id") if self.cleaned_data[name]}

    def _same_server(self) -> bool:
        return bool(self.cleaned_data.get("address") == self.kept_for)

    @property
    def shown(self) -> list[forms.BoundField]:
        """The fields always shown, in the order of the hosted dialog."""
        return [self[name] for name in ("address", "password", "clusterMode", "secure")]

    @property
    def folded(self) -> list[forms.BoundField]:
        """The fields under *More settings*."""
        return [self[name] for name in self.more]

    @property
    def more_is_open(self) -> bool:
        """Tell whether *More settings* must be open: something in it is filled in or wrong."""
        if self.errors.keys() & set(self.more):
            return True
        # A name was suggested, not asked for: it opens nothing.
        given = any(self[name].value() for name in self.more if name != "name")
        return given or bool(self.kept.get("caCertificate"))


class ExistingForm(forms.Form):
    """Chooses a destination that the organisation has already."""

    destination = forms.ModelChoiceField(
        queryset=RedisDestination.objects.none(), empty_label=None, to_field_name="public_id"
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["destination"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = RedisDestination.objects.filter(organisation=project.organisation).order_by("name")


def _adoptable(text: str) -> str:
    if text and not possible_id(text):
        raise forms.ValidationError(_ID_RULE)
    return text


def _first_free(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name} {number}" for number in range(2, len(taken) + 3)))
    return next(short for each in candidates if (short := each[-_NAME_LENGTH:].strip()) not in taken)
