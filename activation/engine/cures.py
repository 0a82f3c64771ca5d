"""What to do about a destination that does not work, by error code: one text for the connection test and for syncs.

A code that an error of a destination can have and that is not here fails a test (`tests/rules/test_error_codes.py`).
"""

from dataclasses import dataclass

from activation.engine.errors import CertificateRefused
from activation.engine.redis_settings import RedisSettings

RIGHTS = "+@read +@write +@scripting +@connection +@transaction"
CLUSTER_RIGHTS = "+cluster|slots"
SENTINEL_RIGHTS = "+role"
_ANSWERS_OF_REDIS = "redis_"  # codes made of an error word of Redis that is not in our table (`replies.fault`)

_TYPE_AGAIN = "Check the password in your provider's Security section and type it again."
_REACH = "Check the address, and that Redis is running and accepts connections from here."
_CERTIFICATE = "Paste the certificate of its CA under CA certificate."
_CLUSTER_MOVES = "Wait until the cluster has moved its slots, and try again."
_AGAIN = "Try again in a moment."

# What is done in the destination's settings.
_IN_SETTINGS = {
    "refused": "Check the user and the password in your provider's Security section, and type them again.",
    "wrongpass": _TYPE_AGAIN,
    "noauth": "Type the password. Your provider shows it in its Security section.",
    "nopassword": "Leave Password empty, or set a password in Redis (requirepass).",
    "name_unknown": "Check the spelling of the host, and that its name can be looked up from here.",
    "address_refused": "Enter the address of a Redis that may be reached from here.",
    "unreachable": _REACH,
    "circuit_open": _REACH,
    "connection_closed": "Check that Redis is running, and that Secure is on where the server wants TLS, else off.",
    "not_redis": "Check the port, which belongs to something else; where the server wants TLS, turn Secure on.",
    "misconfigured": "Compare Cluster Mode, Secure and the database with what your provider says.",
    "no_cluster": "Turn Cluster Mode off.",
    "is_cluster": "Turn Cluster Mode on.",
    "no_sentinel": "Enter the addresses of the sentinels, or leave Sentinel service empty.",
    "sentinel_service": "Check the name of the service: it is what follows “sentinel monitor” in sentinel.conf.",
    "no_database": "Enter a database that the server has, such as 0.",
    "readonly": "Enter the address of the primary.",
    "masterdown": "Enter the address of the primary, once there is one.",
    CertificateRefused.code: _CERTIFICATE,
    "tls_failed": "Check that the port is the server's TLS port and that it speaks TLS 1.2 or newer.",
    "client_certificate_missing": "Paste a client certificate and its key under More settings.",
    "client_certificate_refused": "Paste one that is not expired and signed by a CA that the server trusts.",
}
# What is done at the server, or nothing but waiting.
_ELSEWHERE = {
    "denied": "Set a password in Redis (requirepass), or have it accept connections from here.",
    "timeout": "Check that a firewall or security group lets connections from here through.",
    "failover": "Wait until the sentinels have chosen a primary, and try again.",
    "unblocked": "Wait until the servers have chosen a primary, and try again.",
    "primary_changed": "Wait until the servers have chosen a primary, and try again.",
    "clusterdown": "Repair the cluster, so that every slot is served, and try again.",
    "tryagain": _CLUSTER_MOVES,
    "nonlocal": _CLUSTER_MOVES,
    "moved": _CLUSTER_MOVES,
    "resharding": _CLUSTER_MOVES,
    "oom": "Give Redis more memory, or free some.",
    "misconf": "See the server's log for why it cannot save, and mend that.",
    "noreplicas": "Bring the replicas back, or lower min-replicas-to-write.",
    "loading": "Wait until it has loaded its data, and try again.",
    "maxclients": "Raise maxclients, or close connections that are not needed.",
    "busy": "Wait until what keeps Redis busy has ended, or end it (SCRIPT KILL), and try again.",
    "pool_exhausted": "Try again in a moment. If it stays, see in the server's log why it answers slowly.",
    "partition_broken": "See in the server's log why it closes connections or restarts.",
    "destination_changed": _AGAIN,
    "wrong_type": "Delete the key, which another program wrote, or have that program write elsewhere.",
    "redis_unknowncommand": "The provider turned off a command that is needed. Use a Redis without that limit.",
    "braces_in_id": "Use ids without { and }, or a Redis that is not a cluster.",
}
_OF_CERTIFICATES = (  # OpenSSL's words → ours
    ("expired", "Have the server's certificate renewed."),
    ("not yet valid", "Check the clocks of the server and of this machine."),
    ("mismatch", "Enter the name that is in the certificate, or have the certificate issued for this address."),
    ("self-signed", "Paste the certificate of its CA under CA certificate, or turn Skip verify on to trust it unseen."),
    ("issuer", _CERTIFICATE),
)
RIGHTS_MISSING = frozenset({"noperm", "scripts_refused"})
_AT_THE_SERVER = ("expired", "not yet valid")
CODES = RIGHTS_MISSING | frozenset(_IN_SETTINGS) | frozenset(_ELSEWHERE)


@dataclass(frozen=True)
class Asker:
    """Whose rights are missing where some are: what its keys begin with, and how it reaches its Redis."""

    key_prefix: str
    cluster: bool = False
    sentinel: bool = False

    @classmethod
    def of(cls, key_prefix: str, settings: RedisSettings) -> "Asker":
        """Return it of settings."""
        return cls(key_prefix, cluster=settings.cluster_mode, sentinel=bool(settings.sentinel_service))

    def grant(self) -> str:
        """Return the command that gives a user every right that is needed, and touches no other."""
        more = f" {CLUSTER_RIGHTS}" * self.cluster + f" {SENTINEL_RIGHTS}" * self.sentinel
        return f"ACL SETUSER <user> ~{self.key_prefix}* {RIGHTS}{more}"


def cure(code: str, message: str, asker: Asker) -> str:
    """Say what to do about an error with this code and text; empty for a code that is none of a destination."""
    if code in RIGHTS_MISSING:
        return f"Grant it with: {asker.grant()}"
    if code == CertificateRefused.code:
        return next((words for theirs, words in _OF_CERTIFICATES if theirs in message), _CERTIFICATE)
    if code.startswith(_ANSWERS_OF_REDIS) and code not in CODES:
        return "Look the word up in your server's documentation, and see the server's log of that time."
    return _IN_SETTINGS.get(code) or _ELSEWHERE.get(code, "")


def is_in_settings(code: str, message: str) -> bool:
    """Tell whether what cures an error is done in the destination's settings."""
    at_server = code == CertificateRefused.code and any(words in message for words in _AT_THE_SERVER)
    return code in _IN_SETTINGS and not at_server
