"""Turns what PostgreSQL and its driver say into our own errors.

A driver's message may carry rows and ids, so none goes on: only its SQLSTATE does, and from a refusal the name of the
object it is about. For a failed connection the driver has no SQLSTATE. What it says itself is compared with known
phrases, for it always speaks English; a server speaks its own language, so of what a server says beyond the phrases
only those names count that every language leaves alone.
"""

import re

from adbc_driver_manager import Error as DriverError

from projects.warehouses.cures import GRANTS
from projects.warehouses.port import (
    GrantMissing,
    QueryCancelled,
    QueryFailed,
    RelationMissing,
    WarehouseBusy,
    WarehouseError,
    WarehouseRefused,
    WarehouseUnreachable,
)

_DENIED = re.compile(r"(?:permission denied for|must be owner of) ([a-z ]+?) (\S{1,130})\s*\Z")

_BROKEN = "The connection to the warehouse broke."
_BUSY = "The warehouse is at a limit of its own, or a lock stands in the way; it is tried again."
_MISSING = "A schema, view or table that is needed is not there."
_BY_STATE: tuple[tuple[str, type[WarehouseError], str], ...] = (
    ("08", WarehouseUnreachable, _BROKEN),
    ("57P", WarehouseUnreachable, _BROKEN),
    ("58", WarehouseUnreachable, "The warehouse's system failed."),
    ("28", WarehouseRefused, "The warehouse does not accept the user or the password."),
    ("42P01", RelationMissing, _MISSING),
    ("3F000", RelationMissing, _MISSING),
    ("3D000", RelationMissing, "There is no such database."),
    ("57014", QueryCancelled, "The statement was cancelled, or ran into the warehouse's time limit."),
    ("53", WarehouseBusy, _BUSY),
    ("55", WarehouseBusy, _BUSY),
    ("40", WarehouseBusy, _BUSY),
    ("25006", GrantMissing, f"The user may only read: its transactions are read-only. {GRANTS}"),
    ("42703", QueryFailed, "A column of the view is not there any more, or has another name."),
    ("22", QueryFailed, "A value in the view cannot be computed or cast."),
)
_SAID_BY_SERVER = re.compile(r"failed: \S+:  (.+)", re.DOTALL)  # a severity in any language, a colon and two blanks
_REFUSED = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "permission denied for database",
)
_CONNECTING: tuple[tuple[tuple[str, ...], type[WarehouseError], str, str], ...] = (
    (_REFUSED, WarehouseRefused, "The warehouse does not accept the user or the password.", "authentication"),
    (("FATAL:  role ",), WarehouseRefused, "The warehouse does not know the user.", "authentication"),
    (("FATAL:  database ",), RelationMissing, "There is no such database.", "database"),
    (
        ("too many", "remaining connection slots", "starting up", "shutting down", "recovery mode"),
        WarehouseBusy,
        "The warehouse takes no connection at the moment.",
        "connections",
    ),
    (("translate host name",), WarehouseUnreachable, "The host's name could not be resolved.", "name_resolution"),
    (("onnection refused",), WarehouseUnreachable, "Nothing listens at that address and port.", "refused"),
    (("timeout expired", "timed out"), WarehouseUnreachable, "The warehouse did not answer in time.", "timeout"),
    (("SSL", "certificate"), WarehouseUnreachable, "The connection could not be secured by TLS.", "tls"),
)


def statement_error(error: DriverError) -> WarehouseError:
    """Return our error for a failed statement; one without an SQLSTATE is a broken connection."""
    state = str(error.sqlstate or "")
    if not state.strip("\0 "):
        return WarehouseUnreachable(_BROKEN)
    if state == "42501":
        return _refusal(error)
    for beginning, kind, message in _BY_STATE:
        if state.startswith(beginning):
            return kind(message, detail=state)
    return QueryFailed(f"The warehouse could not run a statement (SQLSTATE {state}).", detail=state)


def connection_error(error: DriverError, *, user: str, database: str) -> WarehouseError:
    """Return our error for a connection that could not be made by this user to this database."""
    text = str(error)
    for phrases, kind, message, detail in _CONNECTING:
        if any(phrase in text for phrase in phrases):
            return kind(message, detail=detail)
    said = _SAID_BY_SERVER.search(text)
    if said is None:
        return WarehouseUnreachable("No connection to the warehouse could be made.")
    return _refused_by_server(said[1], user, database)


def _refused_by_server(said: str, user: str, database: str) -> WarehouseError:
    """Tell a server's refusal by what it names: a user, a database, or neither when it takes nobody at the moment."""
    if "pg_hba.conf" in said or _names(said, user):
        return WarehouseRefused("The warehouse does not accept the user or the password.", detail="authentication")
    if _names(said, database):
        return RelationMissing("There is no such database, or the user may not use it.", detail="database")
    return WarehouseBusy("The warehouse takes no connection at the moment.", detail="connections")


def _names(said: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None


def _refusal(error: DriverError) -> GrantMissing:
    """Name the object that the user may not use, where the server told it."""
    match = _DENIED.search(_primary_message(error))
    if match is None:
        return GrantMissing(f"The user lacks a grant that is needed. {GRANTS}", detail="42501")
    kind, name = match.groups()
    return GrantMissing(f"The user lacks a grant on the {kind} {name}. {GRANTS}", detail="42501")


def _primary_message(error: DriverError) -> str:
    details: list[tuple[str | bytes, bytes]] = list(error.details or [])
    for name, text in details:
        if name in (b"PG_DIAG_MESSAGE_PRIMARY", "PG_DIAG_MESSAGE_PRIMARY"):
            return text.decode("utf-8", "replace")
    return ""
