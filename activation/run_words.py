"""The words for a run's codes: why it was full, what to know about it, why it or a row of it failed, what to do.

One table for each kind of code, so that a new code without words fails a test and not a reader.
"""

NEEDS_CONFIRMATION = "needs_confirmation"

FULL_REASONS: dict[str, str] = {
    "first_sync": "it is the first sync of this source",
    "requested": "a full sync was asked for",
    "columns_changed": "the view's columns changed",
    "settings_changed": "the id column, its normalisation or the columns that are left out changed",
    "base_gone": "the snapshot of the last good sync is no longer in the warehouse",
    "base_changed": "the snapshot of the last good sync has another number of rows than it had",
    "marker_missing": "the destination does not hold what the last good sync left there",
    "destination_lost_data": "the destination lost data",
    "evicted": "the destination evicted keys",
    "view_moved": "the view is found somewhere else now",
    "destination_changed": "the destination changed",
    "ids_expired": "rows that failed were not synced for so long that their ids were forgotten",
}

WARNINGS: dict[str, str] = {
    "sync_log_not_written": "The sync log could not be written; the sync itself is complete.",
}

FAILURES: dict[str, str] = {
    "wrong_type": "The key holds something other than a hash, written by someone else",
    "too_large": "The value is larger than Redis takes",
    "unencodable": "A value cannot be written as JSON",
}

# What to do about an error of a run; the error itself says what happened.
_CURES: dict[str, str] = {
    "refused": "Correct the user or the password of the destination, then press Sync Now.",
    "address_refused": "This address may not be dialled from here. Ask whoever runs this installation.",
    "certificate_refused": "Check the CA certificate of the destination, then press Sync Now.",
    "misconfigured": "Compare the destination's settings with your provider's, then press Sync Now.",
    "scripts_refused": "Let the user run scripts (ACL: +@scripting), then press Sync Now.",
    "grant_missing": "Run the SQL under Settings, Activation API once more, then press Sync Now.",
    "relation_missing": "Run the project so that the view is made, or choose where it is, then press Sync Now.",
    "too_many_row_faults": "Below is why rows failed. Correct that in the view or in Redis, then press Sync Now.",
    NEEDS_CONFIRMATION: (
        "Nothing was deleted. If so many profiles are to go, an Admin confirms it; if not, correct the view, "
        "then press Sync Now."
    ),
}
_ANY_CURE = "Press Sync Now to try again. Until then the profiles of the last good sync are served."


def why_full(code: str) -> str:
    """Say why a run was full; a code without words is shown as it is."""
    return FULL_REASONS.get(code, _plain(code))


def warning(code: str) -> str:
    """Say what to know about a run; what is no code is a text already."""
    return WARNINGS.get(code, code)


def failure(code: str) -> str:
    """Say why rows failed."""
    return FAILURES.get(code, _plain(code))


def cure(code: str) -> str:
    """Say what to do about a run that failed."""
    return _CURES.get(code, _ANY_CURE)


def _plain(code: str) -> str:
    return code.replace("_", " ")
