"""What a connection to a warehouse consists of, per kind, as it is stored; the password is kept apart, encrypted.

Only these fields ever reach a driver, each by itself: nobody types a connection string.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self, TypeAlias

from projects.models import WarehouseKind
from projects.warehouses.addresses import is_name

SSL_MODES = ("disable", "prefer", "require", "verify-full")
_LONGEST = 255
_LAST_PORT = 65_535


class SettingRefused(Exception):
    """A field of a connection cannot be used; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class DuckDBConnection:
    """A DuckDB file, relative to the folder that the operator set aside for them (`DUCKDB_DIR`)."""

    kind: ClassVar[WarehouseKind] = WarehouseKind.DUCKDB
    file: str

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read what was typed. Raises `SettingRefused`."""
        file = _text(values, "file")
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\\" in file:
            raise SettingRefused("file", "Name a file inside the warehouse folder, such as shop/profiles.duckdb.")
        return cls(file=str(path))

    @property
    def address(self) -> str:
        """What is connected to, as one text for pages."""
        return self.file


@dataclass(frozen=True)
class PostgreSQLConnection:
    """A PostgreSQL database and the user to read it as."""

    kind: ClassVar[WarehouseKind] = WarehouseKind.POSTGRESQL
    host: str
    port: int
    database: str
    user: str
    sslmode: str

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read what was typed. Raises `SettingRefused`."""
        port = values.get("port")
        if not isinstance(port, int) or not 0 < port <= _LAST_PORT:
            raise SettingRefused(
                "port", f"A port is a whole number from 1 to {_LAST_PORT:,}; PostgreSQL's own is 5432."
            )
        if values.get("sslmode") not in SSL_MODES:
            raise SettingRefused("sslmode", f"Choose one of {', '.join(SSL_MODES)}.")
        return cls(
            host=_host(_text(values, "host")),
            port=port,
            database=_text(values, "database"),
            user=_text(values, "user"),
            sslmode=str(values["sslmode"]),
        )

    @property
    def address(self) -> str:
        """What is connected to, as one text for pages."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"


Connection: TypeAlias = DuckDBConnection | PostgreSQLConnection

_KINDS: dict[str, type[DuckDBConnection] | type[PostgreSQLConnection]] = {
    connection.kind.value: connection for connection in (DuckDBConnection, PostgreSQLConnection)
}


def read(kind: str, values: Mapping[str, Any]) -> Connection:
    """Read the settings of a kind of warehouse. Raises `SettingRefused`."""
    if kind not in _KINDS:
        raise SettingRefused("kind", f"There is no warehouse of the kind {kind}.")
    return _KINDS[kind].read(values)


def to_plain(connection: Connection) -> dict[str, Any]:
    """Return the settings as JSON values, as `Warehouse.settings` stores them."""
    return asdict(connection)


def _text(values: Mapping[str, Any], field: str) -> str:
    text = str(values.get(field) or "").strip()
    if not text:
        raise SettingRefused(field, "Fill this in.")
    if len(text) > _LONGEST or any(character < " " or character == "\x7f" for character in text):
        raise SettingRefused(field, f"Write it on one line, in at most {_LONGEST} characters.")
    return text


def _host(text: str) -> str:
    """Accept DNS names and IP addresses only: a driver would take a path for a socket and a comma for a list."""
    host = text.removeprefix("[").removesuffix("]")
    if not (is_name(host) or _is_ip(host)):
        raise SettingRefused("host", "Enter a DNS name or an IP address, without a port or a protocol.")
    return host


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
