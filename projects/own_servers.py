"""Servers of this installation, which nobody may connect to as a warehouse or a destination.

Resolved anew at every use: addresses of a managed database change.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from projects.warehouses.addresses import AddressPolicy, own_addresses

_POSTGRESQL_PORT = 5432
_REDIS_PORT = 6379


def policy(*, database: str | None = None) -> AddressPolicy:
    """Return what may be dialled; with `database`, another database on our own PostgreSQL server is allowed."""
    servers = [*_redis_servers()]
    if database is None or database == _database_name():
        servers += _database_servers()
    return AddressPolicy(allow_private=settings.ALLOW_PRIVATE_ADDRESSES, forbidden=own_addresses(servers))


def addresses() -> list[tuple[str, int]]:
    """List (IP address, port) of our own database, broker and cache, resolved now."""
    return sorted(own_addresses([*_redis_servers(), *_database_servers()]))


def _redis_servers() -> Iterator[tuple[str, int]]:
    for urls in (settings.BROKER_URL, settings.CACHE_URL):
        # A Sentinel broker is a list of URLs separated by semicolons.
        for url in urls.split(";"):
            parts = urlsplit(url.strip())
            yield parts.hostname or "localhost", parts.port or _REDIS_PORT


def _database_servers() -> list[tuple[str, int]]:
    database: dict[str, Any] = settings.DATABASES["default"]
    if "postgresql" not in database["ENGINE"]:
        return []
    # A socket's folder instead of a host: the same server may listen on the loopback addresses too.
    hosts = (str(database.get("HOST") or "localhost")).split(",")
    port = int(database.get("PORT") or _POSTGRESQL_PORT)
    return [("localhost" if host.startswith("/") else host, port) for host in hosts]


def _database_name() -> str:
    return str(settings.DATABASES["default"]["NAME"])
