"""What a reply of Redis is; error codes and what they mean for us.

One table, so that reads, syncs and the connection test agree.

The code is the first word of an error reply; the rest of the reply may hold data and is dropped.
"""

from typing import Any

from activation.engine.errors import (
    DestinationBusy,
    DestinationError,
    DestinationMisconfigured,
    DestinationRefused,
    ScriptUnknown,
    UnexpectedType,
)

Reply = Any  # what RESP2 holds: bytes, int, None or a list of these

_TRANSIENT = {
    "OOM": "Redis is out of memory (maxmemory). Give it more, or free some.",
    "LOADING": "Redis is starting and loads its data.",
    "CLUSTERDOWN": "The Redis cluster is down: some slots are served by no node.",
    "MASTERDOWN": "This replica has lost its primary.",
    "READONLY": "This Redis is a replica and accepts no writes.",
    "NOREPLICAS": "Redis refuses writes because it has too few replicas in step.",
    "MISCONF": "Redis refuses writes because it cannot save its data to disk.",
    "TRYAGAIN": "The cluster is moving the keys to another node.",
    "NONLOCAL": "The cluster moved the keys to another node.",
    "BUSY": "Redis is busy with somebody's script.",
    "UNBLOCKED": "Redis changed its role while it worked.",
    "MAXCLIENTS": "Redis accepts no more connections (maxclients).",
}
_REFUSED = {
    "WRONGPASS": "Redis refused the user or the password.",
    "NOAUTH": "Redis wants a password.",
    "NOPASSWORD": "A password is set here, but Redis has none.",
    "NOPERM": "The Redis user may not run a command or use a key that is needed.",
    "DENIED": "Redis runs in protected mode and accepts connections from its own machine only.",
}
_PLAIN: dict[str, tuple[type[DestinationError], str, str]] = {
    "NOSCRIPT": (ScriptUnknown, "script_unknown", "Redis does not hold the script."),
    "WRONGTYPE": (UnexpectedType, "wrong_type", "The key holds something that is no profile."),
    "NODATABASE": (DestinationMisconfigured, "no_database", "Redis has no database of that number."),
    "NOCLUSTER": (DestinationMisconfigured, "no_cluster", "This Redis is not a cluster."),
}
_PHRASES = (  # replies that begin with ERR and are told apart by their fixed text
    ("max number of clients", "MAXCLIENTS"),
    ("non local key", "NONLOCAL"),
    ("wrong Redis type", "WRONGTYPE"),
    ("cluster is down", "CLUSTERDOWN"),
    ("no password is set", "NOPASSWORD"),
    ("without any password configured", "NOPASSWORD"),
    ("invalid password", "WRONGPASS"),
    ("DB index is out of range", "NODATABASE"),
    ("SELECT is not allowed in cluster mode", "NODATABASE"),
    ("invalid DB index", "NODATABASE"),
    ("cluster support disabled", "NOCLUSTER"),
    ("unknown command", "UNKNOWNCOMMAND"),
)
_LETTERS = 20


def code_of(reply: str) -> str:
    """Return the code of an error reply's text: its first word, or ours where Redis says only ERR."""
    word, _, rest = reply.lstrip("-").partition(" ")
    if word == "ERR" or not word.isupper():
        return next((code for phrase, code in _PHRASES if phrase in reply), "ERR")
    return word[:_LETTERS] if rest or word.isalnum() else "ERR"


def fault(code: str, where: str) -> DestinationError:
    """Make the error that a code stands for; `where` is the server's address."""
    if code in _TRANSIENT:
        return DestinationBusy(f"{_TRANSIENT[code]} ({where})", code=code.lower())
    if code in _REFUSED:
        return DestinationRefused(f"{_REFUSED[code]} ({where})", code=code.lower())
    if code in _PLAIN:
        kind, own_code, message = _PLAIN[code]
        return kind(f"{message} ({where})", code=own_code)
    return DestinationError(f"{where} answered with the error {code}.", code=f"redis_{code.lower()}")
