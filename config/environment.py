"""Reads the environment: every setting as `NAME` or `NAME_FILE`, every problem said at once, no secret repeated."""

import base64
import binascii
import ipaddress
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from config import email_urls

KEY_BYTES = 32


class Environment:
    """Collects settings and their problems; `verify` raises them together.

    A setting is read from `NAME`, or from the file that `NAME_FILE` names (for mounted secrets).
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._problems: list[str] = []

    def text(self, name: str, *, default: str | None = None, hint: str = "") -> str:
        """Return a setting's text; without a default it must be there."""
        value = self._raw(name)
        if value:
            return value
        if default is None:
            self._problems.append(f"{name} (or {name}_FILE) is not set. {hint}".rstrip())
            return ""
        return default

    def number(self, name: str, *, default: int, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        value = self._raw(name)
        if not value:
            return default
        if not value.isdigit() or int(value) < least:
            self._problems.append(f"{name} must be a whole number of at least {least}.")
            return default
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a switch: 1, true, yes, on or 0, false, no, off."""
        value = self._raw(name).lower()
        if not value:
            return default
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"0", "false", "no", "off"}:
            return False
        self._problems.append(f"{name} must be 1 or 0.")
        return default

    def names(self, name: str, *, default: str = "") -> list[str]:
        """Return a comma-separated list."""
        return [item.strip() for item in (self._raw(name) or default).split(",") if item.strip()]

    def command(self, name: str) -> list[str]:
        """Return a command as its words, quoted as for a shell that is never there; without a value, none."""
        try:
            return shlex.split(self._raw(name))
        except ValueError:
            self._problems.append(f"{name} has a quotation mark that does not end.")
            return []

    def networks(self, name: str) -> list[str]:
        """Return a comma-separated list of IP addresses and networks."""
        networks = self.names(name)
        for network in networks:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                self._problems.append(f"{name} is a comma-separated list of IP addresses or networks like 10.0.0.0/8.")
                return []
        return networks

    def keys(self, name: str) -> dict[int, bytes]:
        """Return a key set, newest first: a comma-separated list of `version:base64 of 32 bytes`."""
        hint = "Set it to 1:<base64 of 32 random bytes>, e.g. 1:$(openssl rand -base64 32)."
        keys: dict[int, bytes] = {}
        for item in self.text(name, hint=hint).split(","):
            version, _, encoded = item.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if item and (not version.isdigit() or len(key) != KEY_BYTES or int(version) in keys):
                self._problems.append(f"{name} is a comma-separated list of version:base64, newest first. {hint}")
                return {}
            if item:
                keys[int(version)] = key
        return keys

    def database(self, name: str, *, default: str) -> dict[str, object]:
        """Return Django's description of a database from `sqlite:///path` or `postgresql://user:password@host/name`."""
        url = urlsplit(self._raw(name) or default)
        if url.scheme == "sqlite":
            return _sqlite(url.path[1:])
        if url.scheme in {"postgresql", "postgres"} and url.path.strip("/"):
            return _postgresql(url.hostname or "", url.port, url.path.strip("/"), url.username, url.password, url.query)
        self._problems.append(
            f"{name} must look like postgresql://user:password@host:5432/name or sqlite:////path/file."
        )
        return _sqlite(":memory:")

    def web_address(self, name: str) -> str:
        """Return an address of another service without its last slash: https, or http on this machine; "" without."""
        value = self._raw(name).rstrip("/")
        url = urlsplit(value)
        safe = url.scheme == "https" or (url.scheme == "http" and _is_here(url.hostname or ""))
        if value and not (safe and url.hostname):
            self._problems.append(f"{name} must look like https://login.example.com.")
        return value

    def email(self, name: str) -> email_urls.EmailService:
        """Return how e-mail is sent; without a value, not at all."""
        try:
            return email_urls.read(self._raw(name))
        except email_urls.EmailUrlInvalid as problem:
            self._problems.append(f"{name} {problem}")
            return email_urls.EmailService()

    def verify(self) -> None:
        """Raise `ImproperlyConfigured` that lists every problem, if there is one."""
        if self._problems:
            raise ImproperlyConfigured("Settings from the environment:\n  - " + "\n  - ".join(self._problems))

    def _raw(self, name: str) -> str:
        file = self._variables.get(f"{name}_FILE", "")
        if not file:
            return self._variables.get(name, "").strip()
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            self._problems.append(f"{name}_FILE names a file that cannot be read ({error.strerror}).")
            return ""


def _is_here(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def _sqlite(path: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _postgresql(
    host: str, port: int | None, name: str, user: str | None, password: str | None, query: str
) -> dict[str, object]:
    # A request waits for an unreachable database this long, not psycopg's 30 s, and a pool that gave up tries anew.
    waiting = {"timeout": 3, "reconnect_timeout": 3}
    options: dict[str, object] = {"pool": {"min_size": 0, "max_size": 16, **waiting}, "connect_timeout": 3}
    for pair in query.split("&") if query else []:
        key, _, value = pair.partition("=")
        if key == "host":
            host = unquote(value)
        else:
            options[key] = unquote(value)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(name),
        "USER": unquote(user or ""),
        "PASSWORD": unquote(password or ""),
        "HOST": unquote(host),
        "PORT": port or "",
        "OPTIONS": options,
    }
