"""What to do about a destination that does not work: the advice of the connection test, by error code."""

from activation.engine.errors import CertificateRefused, DestinationError
from activation.engine.redis_settings import RedisSettings

RIGHTS = "+@read +@write +@scripting +@connection"
CLUSTER_RIGHTS = "+cluster|slots"
SENTINEL_RIGHTS = "+role"
_TYPE_AGAIN = "Check the password in your provider's Security section and type it again."

_CURES = {
    "wrongpass": _TYPE_AGAIN,
    "noauth": "Type the password. Your provider shows it in its Security section.",
    "nopassword": "Leave Password empty, or set a password in Redis (requirepass).",
    "denied": "Set a password in Redis (requirepass), or have it accept connections from here.",
    "name_unknown": "Check the spelling of the host, and that its name can be looked up from here.",
    "address_refused": "Enter the address of a Redis that may be reached from here.",
    "unreachable": "Check the address, and that Redis is running and accepts connections from here.",
    "timeout": "Check that a firewall or security group lets connections from here through.",
    "not_redis": "Check the port: it belongs to something else.",
    "no_cluster": "Turn Cluster Mode off.",
    "no_sentinel": "Enter the addresses of the sentinels, or leave Sentinel service empty.",
    "sentinel_service": "Check the name of the service: it is what follows “sentinel monitor” in sentinel.conf.",
    "failover": "Wait until the sentinels have chosen a primary, and try again.",
    "is_cluster": "Turn Cluster Mode on.",
    "clusterdown": "Repair the cluster, so that every slot is served, and try again.",
    "no_database": "Enter a database that the server has, such as 0.",
    "readonly": "Enter the address of the primary.",
    "oom": "Give Redis more memory, or free some.",
    "misconf": "See the server's log for why it cannot save, and mend that.",
    "noreplicas": "Bring the replicas back, or lower min-replicas-to-write.",
    "loading": "Wait until it has loaded its data, and try again.",
    "maxclients": "Raise maxclients, or close connections that are not needed.",
    "tls_failed": "Check that the port is the server's TLS port and that it speaks TLS 1.2 or newer.",
    "client_certificate_missing": "Paste a client certificate and its key under More settings.",
    "client_certificate_refused": "Paste one that is not expired and signed by a CA that the server trusts.",
    "redis_unknowncommand": "The provider turned off a command that is needed. Use a Redis without that limit.",
    "braces_in_id": "Use ids without { and }, or a Redis that is not a cluster.",
}
_OF_CERTIFICATES = (  # OpenSSL's words → ours
    ("expired", "Have the server's certificate renewed."),
    ("not yet valid", "Check the clocks of the server and of this machine."),
    ("mismatch", "Enter the name that is in the certificate, or have the certificate issued for this address."),
    ("self-signed", "Paste the certificate of its CA under CA certificate, or turn Skip verify on to trust it unseen."),
    ("issuer", "Paste the certificate of its CA under CA certificate."),
)


def cure_for(error: DestinationError, *, key_prefix: str, settings: RedisSettings) -> str:
    """Say what to do about an error; empty when there is nothing to advise."""
    if error.code in {"noperm", "scripts_refused"}:
        besides = f" {CLUSTER_RIGHTS}" * settings.cluster_mode + f" {SENTINEL_RIGHTS}" * bool(settings.sentinel_service)
        rights = RIGHTS + besides
        return f"Grant it with: ACL SETUSER <user> ~{key_prefix}* {rights}"
    if error.code == CertificateRefused.code:
        text = str(error)
        return next((cure for words, cure in _OF_CERTIFICATES if words in text), _OF_CERTIFICATES[-1][1])
    return _CURES.get(error.code, "")
