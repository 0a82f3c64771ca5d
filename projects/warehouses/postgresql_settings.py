"""Where a PostgreSQL warehouse is and who asks, and the one connection URI that this makes."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

SSL_MODES = ("disable", "prefer", "require", "verify-full")
APPLICATION_NAME = "activation-api"
CONNECT_SECONDS = 10
# A server that is gone without a word is noticed within a minute, not after the system's two hours.
KEEPALIVE = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


@dataclass(frozen=True)
class PostgreSQLSettings:
    """Where a warehouse is and who asks. `hostaddr` is the address that the host was resolved to and that is dialled.

    Raises:
        ValueError: the host is neither a DNS name nor an address, or a setting is none of those known.

    """

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    hostaddr: str | None = None
    connect_timeout: int = CONNECT_SECONDS

    def __post_init__(self) -> None:
        if _HOST.fullmatch(self.host) is None:
            ip_address(self.host)
        if self.hostaddr is not None:
            ip_address(self.hostaddr)
        if not 0 < self.port < 65536 or self.sslmode not in SSL_MODES:  # noqa: PLR2004 - the ports there are
            raise ValueError("not a port or not a known sslmode")
        if "\0" in self.database + self.user + self.password:
            raise ValueError("a setting holds a NUL")

    def uri(self) -> str:
        """Return the connection URI: these fields and constants only, so no file or variable of ours is looked at."""
        fields: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "connect_timeout": self.connect_timeout,
            **KEEPALIVE,
            "application_name": APPLICATION_NAME,
            "client_encoding": "UTF8",
            "passfile": "/dev/null",
            "sslcertmode": "disable",
            "gssencmode": "disable",
        }
        if self.hostaddr is not None:
            fields["hostaddr"] = self.hostaddr
        if self.sslmode == "verify-full":
            fields["sslrootcert"] = "system"
        return f"postgresql://?{urlencode(fields, quote_via=percent_encoded, safe='')}"
