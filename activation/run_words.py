"""The words for a run's codes: why it was full, what to know about it, why it or a row of it failed, what to do.

One table for each kind of code (that of full runs is in `activation.run_plans`), so that a new code without words
fails a test and not a reader.
"""

from activation import guard, run_plans

WARNINGS: dict[str, str] = {
    "memory_short": (
        "The profiles are expected to need more memory than Redis may use (maxmemory). Give it more, or it refuses "
        "writes before the sync is done."
    ),
    "sync_log_not_written": "The sync log could not be written; the sync itself is complete.",
    "reconcile_advised": (
        "What named the profiles in Redis was lost, so some that left the view meanwhile may still be there. "
        "Reconcile, on the destination's page, finds and removes them."
    ),
}

FAILURES: dict[str, str] = {
    "wrong_type": "The key holds something other than a hash, written by someone else",
    "too_large": "The value is larger than Redis takes",
    "unencodable": "A value cannot be written as JSON",
}

_TYPE_AGAIN = "Correct the user or the password of the destination, then press Sync Now."

# What to do about an error of a run; the error itself says what happened.
_CURES: dict[str, str] = {
    "refused": _TYPE_AGAIN,
    "wrongpass": _TYPE_AGAIN,
    "noauth": _TYPE_AGAIN,
    "nopassword": _TYPE_AGAIN,
    "noperm": "Give the Redis user the rights that the guide lists, then press Sync Now.",
    "address_refused": "This address may not be dialled from here. Ask whoever runs this installation.",
    "certificate_refused": "Check the CA certificate of the destination, then press Sync Now.",
    "misconfigured": "Compare the destination's settings with your provider's, then press Sync Now.",
    "scripts_refused": "Let the user run scripts (ACL: +@scripting), then press Sync Now.",
    "grant_missing": "Run the SQL that the page of the failed sync shows, then press Sync Now.",
    "relation_missing": "Run the project so that the view is made, or choose where it is, then press Sync Now.",
    "too_many_row_faults": "Below is why rows failed. Correct that in the view or in Redis, then press Sync Now.",
    "record_lost": "Reconcile, on the destination's page, finds the profiles in Redis itself.",
    guard.CODE: "An Admin decides. If the view is wrong, correct it, then press Sync Now.",
}
_ANY_CURE = "Press Sync Now to try again. Until then the profiles of the last good sync are served."
_ANY_CURE_OF_A_MOVE = "Try again or cancel on the page of the move. Applications read where they did."


def why_full(code: str) -> str:
    """Say why a run was full, to go on a sentence with; a code without words is shown as it is."""
    words = run_plans.REASONS.get(code, _plain(code))
    return words[:1].lower() + words[1:]


def warning(code: str) -> str:
    """Say what to know about a run; what is no code is a text already."""
    return WARNINGS.get(code, code)


def failure(code: str) -> str:
    """Say why rows failed."""
    return FAILURES.get(code, _plain(code))


def cure(code: str, *, moving: bool = False) -> str:
    """Say what to do about a run that failed; one of a move is started again with the move."""
    if moving:
        return _CURES.get(code, _ANY_CURE_OF_A_MOVE).replace(
            "press Sync Now", "press Try again on the page of the move"
        )
    return _CURES.get(code, _ANY_CURE)


def _plain(code: str) -> str:
    return code.replace("_", " ")
