"""What people fill in to say how a Redis is reached, named and labelled as in the hosted product where it has them.

Secrets are never put back into a page: what was typed earlier stands in for a field left empty, on the same server.
"""

from typing import Any

from django import forms

from activation.engine.redis_settings import RedisSettings, SettingsInvalid

_LONGEST_PEM = 20_000


class _Pem(forms.CharField):
    """PEM text. With `secret` it is not put back into a page, not even beside its own error."""

    def __init__(self, *, secret: bool = True, **options: Any) -> None:
        widget = _Hidden if secret else forms.Textarea
        look = {"rows": 4, "class": "mono", "spellcheck": "false", "autocomplete": "off"}
        super().__init__(required=False, max_length=_LONGEST_PEM, widget=widget(attrs=look), **options)


class _Hidden(forms.Textarea):
    def format_value(self, value: Any) -> None:
        return None


class ServerForm(forms.Form):
    """How a Redis is reached. `plain()` returns settings and credentials by their names in the hosted product."""

    address = forms.CharField(
        max_length=2000,
        help_text="e.g. localhost:6379. In cluster mode and for sentinels, several separated by commas.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        help_text="As your provider shows it. It is kept encrypted and never shown again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    clusterMode = forms.BooleanField(  # noqa: N815 - the hosted name
        required=False,
        label="Cluster Mode",
        help_text="For a Redis Cluster, which spreads its keys over several primaries.",
    )
    secure = forms.BooleanField(required=False, label="Secure", help_text="Encrypt the connection with TLS.")
    username = forms.CharField(
        required=False, max_length=200, label="Username", help_text="A Redis ACL user. Empty for the default user."
    )
    database = forms.IntegerField(required=False, min_value=0, max_value=99_999, initial=0, help_text="0 in a cluster.")
    sentinelService = forms.CharField(  # noqa: N815 - named like the hosted product's settings
        required=False,
        max_length=200,
        label="Sentinel service",
        help_text="The name that sentinels know the primary by. Address then lists the sentinels.",
    )
    sentinelUsername = forms.CharField(  # noqa: N815 - named like the hosted product's settings
        required=False, max_length=200, label="Sentinel user", help_text="Only where the sentinels have users."
    )
    sentinelPassword = forms.CharField(  # noqa: N815 - named like the hosted product's settings
        required=False,
        strip=False,
        max_length=1000,
        label="Sentinel password",
        help_text="The password of the sentinels themselves, which is not that of Redis.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    skipVerify = forms.BooleanField(  # noqa: N815 - the hosted name
        required=False, label="Skip verify", help_text="Accept a self-signed certificate. Only with Secure."
    )
    caCertificate = _Pem(  # noqa: N815 - the hosted name
        secret=False,
        label="CA certificate",
        help_text="PEM text, where your provider's certificates are signed by its own authority. Only with Secure.",
    )
    clientCertificate = _Pem(  # noqa: N815 - named like the hosted product's settings
        label="Client certificate",
        help_text="PEM text, where the server wants a certificate of its clients (mutual TLS). Only with Secure.",
    )
    clientKey = _Pem(  # noqa: N815 - named like the hosted product's settings
        label="Client key", help_text="PEM text without a passphrase: the key of the client certificate."
    )

    readFromReplicas = forms.BooleanField(  # noqa: N815 - named like the hosted product's settings
        required=False,
        label="Read from replicas",
        help_text="In a cluster or with sentinels. What is read may be a moment old, also of a person just deleted.",
    )
    useJSONModule = forms.BooleanField(  # noqa: N815 - the hosted name
        required=False,
        label="Store data using the JSON module",
        help_text="A JSON document a profile, for a Redis with JSON commands. Changes later by a move only.",
    )
    acceptEviction = forms.BooleanField(  # noqa: N815 - named like the hosted product's settings
        required=False,
        label="Accept that Redis may drop profiles",
        help_text="Only for a Redis with an allkeys policy. A sync that finds that profiles were dropped is full.",
    )

    more: tuple[str, ...] = (
        *("username", "database", "sentinelService", "sentinelUsername", "sentinelPassword"),
        *("skipVerify", "caCertificate", "clientCertificate", "clientKey"),
        *("readFromReplicas", "useJSONModule", "acceptEviction"),
    )
    _flags = ("clusterMode", "secure", "skipVerify", "readFromReplicas", "useJSONModule", "acceptEviction")
    _texts = ("username", "sentinelService", "sentinelUsername")
    credentials = ("password", "sentinelPassword", "caCertificate", "clientCertificate", "clientKey")
    _bound_to_server = (
        ("password", "password"),
        ("sentinelPassword", "sentinels' password"),
        ("clientKey", "client key"),
    )
    _shown_with = {
        "clusterMode=off": ("database", "sentinelService", "sentinelUsername", "sentinelPassword"),
        "secure=on": ("skipVerify", "caCertificate", "clientCertificate", "clientKey"),
    }

    def __init__(self, *args: Any, kept: dict[str, str] | None = None, kept_for: str = "", **options: Any) -> None:
        """`kept` holds the secrets of an earlier try, used where a field is left empty and the address is the same."""
        super().__init__(*args, **options)
        self.kept, self.kept_for = kept or {}, kept_for
        for name in self.credentials:
            self.fields[name].stored = bool(self.kept.get(name))  # type: ignore[attr-defined]  # read by form_field
        for choice, names in self._shown_with.items():
            for name in names:
                self.fields[name].shown_with = choice  # type: ignore[attr-defined]  # read by form_field

    def clean(self) -> dict[str, Any]:
        """Find everything that needs no connection to be seen as wrong."""
        cleaned = super().clean() or self.cleaned_data
        for name, words in self._bound_to_server:
            if self.kept.get(name) and not cleaned.get(name) and not self._same_server():
                self.add_error(name, f"Enter the {words} again, because you changed the address.")
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
        settings |= {name: given[name] for name in self._texts if given.get(name)}
        kept = self._standing_in()
        secrets = {name: given.get(name) or kept.get(name, "") for name in self.credentials}
        return settings, {name: value for name, value in secrets.items() if value}

    def _standing_in(self) -> dict[str, str]:
        """Return what stands in for fields left empty: a secret goes only to the server it was typed for."""
        return self.kept if self._same_server() else {}

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
        return given or any(self.kept.get(name) for name in self.more)
