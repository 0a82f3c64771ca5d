"""Which bodies are short: they are read whole before a thread is asked, and taken off a connection that goes on.

Larger ones are read by the thread that wants them, as they come, and left where they are by a refusal, which ends their
connection.
"""

SHORT = 64 * 1024
_DIGITS = len(str(SHORT))


def is_short(told: str) -> bool:
    """Tell whether a `Content-Length` is that of a short body; one that is missing (""), or no number, is not."""
    return told.isdecimal() and len(told) <= _DIGITS and int(told) <= SHORT
