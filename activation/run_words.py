"""The words for a run's codes: why it was full, what to know about it, why rows of it failed.

One table for each kind of code (that of full runs is in `activation.run_plans`), so that a new code without words
fails a test and not a reader.
"""

from activation import run_plans

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
    "too_large": "The JSON of the row is larger than a sync writes (16 MB) or Redis takes",
    "unencodable": "A value cannot be written as JSON",
}


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


def _plain(code: str) -> str:
    return code.replace("_", " ")
