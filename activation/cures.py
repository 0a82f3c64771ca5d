"""What to do about an error of a sync, a preview or a look through Redis, by its code, and the page where it is done.

What cures a destination or a warehouse is told where their errors are, in the words of their tests; what only we can
have is here. How it goes on once that is done is added by who shows it.
"""

from activation import guard
from activation.engine import cures as of_redis
from activation.models import Preview, Reconcile, RedisDestination, SyncRun
from projects.warehouses import cures as of_warehouses

DESTINATION, WAREHOUSE, VIEWS = "destination", "warehouse", "views"
_EDIT = {
    DESTINATION: "Edit the destination for that, and try again.",
    WAREHOUSE: "Edit the warehouse for that, and try again.",
    VIEWS: "That is on the project's Entities tab.",
    "": "",
}
_PLACES = {
    "warehouse_refused": WAREHOUSE,
    "warehouse_unreachable": WAREHOUSE,
    "file_refused": WAREHOUSE,
    "relation_missing": VIEWS,
    "view_unusable": VIEWS,
}
_WORKERS = "Ask whoever runs this installation why its load workers end, most often for their memory, and try again."
_NEXT_IS_FULL = "The next sync writes all again, in full. Find out who clears this Redis, and try again."
# What only a sync of ours can end with.
OURS: dict[str, str] = {
    "destination_lost_data": _NEXT_IS_FULL,
    "destination_lost_writes": _NEXT_IS_FULL,
    "fence_lost": _NEXT_IS_FULL,
    "fence_moved": _WORKERS,
    "other_version": (
        "Have whoever runs this installation bring all its processes to the same version, and try again."
    ),
    "worker_stalled": _WORKERS,
    "interrupted": _WORKERS,
    "view_unusable": "Choose the column that holds the id, or bring it back, and try again.",
    "too_many_row_faults": "See why rows failed, correct that in the view or in Redis, and try again.",
    "snapshot_lost": "Find out who drops tables of ours from the schema _rudderstack of the warehouse, and try again.",
    "record_lost": "Reconcile, on the destination's page, finds the profiles in Redis itself.",
    "secret_unreadable": (
        "Have whoever runs this installation put the old key back into ENCRYPTION_KEYS, or type the credentials anew, "
        "and try again."
    ),
    "suppression_key_missing": (
        "Have whoever runs this installation restart all its processes with the same SUPPRESSION_KEYS, and try again."
    ),
    "database_away": "Ask whoever runs this installation whether our own database is well, and try again.",
    "internal": "Try again. If it stays, report it with the sync's id.",
    guard.CODE: "An Admin decides. If the view is wrong, correct it, and try again.",
}
_UNKNOWN = "Try again. Until then the profiles of the last good sync are served."


def of_run(run: SyncRun) -> str:
    """Say what to do about a run that failed; one of a move or a removal is started again where that was."""
    if run.source.other_place_of_id is not None:
        then = "press Try again on the page of the move"
    elif run.kind == SyncRun.Kind.REMOVAL:
        then = "start the removal again on the source's page"
    else:
        then = "press Sync Now"
    return _cure(run.error_code, run.error, run.source.destination, then=then)


def of_preview(preview: Preview) -> str:
    """Say what to do about a preview that failed."""
    return _cure(preview.error_code, preview.error, preview.source.destination, then="preview the changes again")


def of_reconcile(look: Reconcile) -> str:
    """Say what to do about a look through Redis that failed."""
    return _cure(look.error_code, look.error, look.destination, then="look again")


def place(code: str, message: str) -> str:
    """Return which page an error is repaired on: one of `DESTINATION`, `WAREHOUSE`, `VIEWS`, or "" for none of ours."""
    return DESTINATION if of_redis.is_in_settings(code, message) else _PLACES.get(code, "")


def _cure(code: str, message: str, destination: RedisDestination, *, then: str) -> str:
    """Say what to do, and last how it goes on; a user's missing rights are last, since they are to be copied."""
    asker = of_redis.Asker(
        f"{destination.workspace_id}:{destination.public_id}:",
        cluster=bool(destination.settings.get("clusterMode")),
        sentinel=bool(destination.settings.get("sentinelService")),
    )
    if code in of_redis.RIGHTS_MISSING:
        return f"Grant the Redis user its rights, then {then}: {asker.grant()}"
    if code in OURS:
        return _go_on(OURS[code], then)
    told = of_redis.cure(code, message, asker) or of_warehouses.CURES.get(code, "")
    told = f"{told} {_EDIT[place(code, message)]}".strip() if told else _UNKNOWN
    return _go_on(told if "try again" in told.lower() else f"{told} Then try again.", then)


def _go_on(words: str, then: str) -> str:
    """Name what is pressed where the words only say to try again."""
    return words.replace("try again", then).replace("Try again", then[0].upper() + then[1:])
