"""What an error means for a run: try again, or fail with words for the person who reads it.

An error nobody foresaw is a bug: it fails the run. Its text may hold data or a driver's message, so only its class and
the place it came from are told.
"""

import traceback
from dataclasses import dataclass
from pathlib import PurePath

import structlog
from django.db import InterfaceError, OperationalError

from accounts.vault import SecretUnreadable
from activation import guard
from activation.engine.bookkeeping import FenceMissing, WitnessMissing
from activation.engine.errors import DestinationError
from activation.engine.row_faults import TooManyRowFaults
from activation.guard import NeedsConfirmation
from activation.suppressions import SuppressionKeyMissing
from projects.warehouses import port

log = structlog.get_logger(__name__)

# Our own database being away or locked; what else it refuses is a bug.
DATABASE_AWAY = (OperationalError, InterfaceError)


class ViewUnusable(Exception):
    """The view lost its id column; the message says what to do."""


class SnapshotLost(Exception):
    """A table that a run loads from is gone; another attempt makes it anew."""

    def __init__(self) -> None:
        super().__init__(
            "What this sync had read into our schema of the warehouse is not there any more: somebody dropped it, or "
            "the project or its warehouse was pointed elsewhere. It starts over."
        )


class RecordLost(Exception):
    """What names a source's profiles in the destination is gone from the warehouse."""

    def __init__(self) -> None:
        super().__init__(
            "The tables that name this source's profiles are gone from the warehouse, so they cannot be removed one by "
            "one. Use Reconcile on the destination's page, which looks for them in Redis."
        )


@dataclass(frozen=True)
class Fault:
    """Why a step ended early. `transient` tells whether trying again may help."""

    code: str
    message: str
    transient: bool


_KNOWN: dict[type[Exception], tuple[str, bool]] = {
    FenceMissing: ("destination_lost_data", True),
    ViewUnusable: ("view_unusable", False),
    TooManyRowFaults: ("too_many_row_faults", False),
    WitnessMissing: ("destination_lost_writes", True),
    NeedsConfirmation: (guard.CODE, False),
    RecordLost: ("record_lost", False),
    SnapshotLost: ("snapshot_lost", True),
    SecretUnreadable: ("secret_unreadable", False),
    SuppressionKeyMissing: ("suppression_key_missing", True),  # another worker may have it, or this one soon
}


def fault_of(error: Exception, *, run: str) -> Fault:
    """Judge an error of a step of the run with this public id."""
    if isinstance(error, port.QueryCancelled):
        return Fault(error.code, "The warehouse cancelled the statement.", transient=True)
    if isinstance(error, port.WarehouseError | DestinationError):
        return Fault(error.code, str(error), transient=error.transient)
    for known, (code, transient) in _KNOWN.items():
        if isinstance(error, known):
            return Fault(code, str(error), transient)
    name = type(error).__name__
    if isinstance(error, DATABASE_AWAY):
        return Fault("database_away", "Our own database could not be used at the moment.", transient=True)
    log.error("sync_broke", run=run, error=name, at=place_of(error))
    return Fault(
        "internal",
        f"Something unexpected happened ({name}). Start the sync again; if it stays, report it.",
        transient=False,
    )


def place_of(error: BaseException) -> str:
    """Tell where an error was raised, file and line, without a word of what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
