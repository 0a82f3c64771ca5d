"""The settings of a Redis destination, read from what a form or a record holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from activation.engine import tls
from projects.warehouses.addresses import HostInvalid, split_host_port

LONGEST_ADDRESS = 2_000
_FLAGS = ("clusterMode", "secure", "skipVerify", "useJSONModule", "acceptEviction", "readFromReplicas")
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


class SettingsInvalid(ValueError):
    """Settings that cannot be used. `errors` maps a setting's key to what is wrong with it."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


@dataclass(frozen=True)
class RedisSettings:
    """How a destination is reached. Secrets are kept out of the repr."""

    addresses: tuple[tuple[str, int], ...]
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    cluster_mode: bool = False
    sentinel_service: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    secure: bool = False
    skip_verify: bool = False
    ca_certificate: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    use_json_module: bool = False
    accept_eviction: bool = False
    read_from_replicas: bool = False

    @classmethod
    def from_plain(cls, settings: Mapping[str, object], credentials: Mapping[str, object]) -> "RedisSettings":
        """Read settings by their names in the hosted product, such as `address` and `clusterMode`.

        Secrets are taken from `credentials` only. An absent `clusterMode` is off: what imports a hosted
        configuration, where absent means on, says so. Raises `SettingsInvalid` with every problem by key.
        """
        errors: dict[str, str] = {}
        cluster, secure, skip, json_module, eviction, replicas = (_flag(settings, key, errors) for key in _FLAGS)
        service = _text(settings.get("sentinelService"), "sentinelService", errors).strip()
        if service and cluster:
            errors["sentinelService"] = "A cluster has no sentinels. Leave this empty, or turn Cluster Mode off."
        addresses = _addresses(settings.get("address"), errors, several=cluster or bool(service))
        database = _database(settings.get("database"), errors, cluster=cluster)
        username = _text(credentials.get("username") or settings.get("username"), "username", errors)
        password = _text(credentials.get("password"), "password", errors)
        certificate = _text(credentials.get("caCertificate") or settings.get("caCertificate"), "caCertificate", errors)
        sentinel = (
            _text(settings.get("sentinelUsername"), "sentinelUsername", errors),
            _text(credentials.get("sentinelPassword"), "sentinelPassword", errors),
        )
        pair = [_text(credentials.get(key), key, errors).strip() for key in ("clientCertificate", "clientKey")]
        if username and not password:
            errors.setdefault("password", "An ACL user needs a password.")
        if sentinel[0] and not sentinel[1]:
            errors.setdefault("sentinelPassword", "A user of the sentinels needs a password.")
        if secure:
            _check_pem(certificate, errors)
            _check_pair(*pair, errors=errors)
        if errors:
            raise SettingsInvalid(errors)
        return cls(
            addresses=addresses,
            username=username,
            password=password,
            database=database,
            cluster_mode=cluster,
            sentinel_service=service,
            sentinel_username=sentinel[0] if service else "",
            sentinel_password=sentinel[1] if service else "",
            secure=secure,
            skip_verify=secure and skip,
            ca_certificate=certificate if secure else "",
            client_certificate=pair[0] if secure else "",
            client_key=pair[1] if secure else "",
            use_json_module=json_module,
            accept_eviction=eviction,
            read_from_replicas=replicas and (cluster or bool(service)),
        )

    def for_sentinels(self) -> "RedisSettings":
        """Return how the sentinels are reached: at the typed addresses, with their own user, and TLS as elsewhere."""
        return replace(self, username=self.sentinel_username, password=self.sentinel_password, database=0)

    @property
    def address(self) -> str:
        """The address as a person wrote it: `host:port`, comma-separated where there are several."""
        return ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses)


def _addresses(value: object, errors: dict[str, str], *, several: bool) -> tuple[tuple[str, int], ...]:
    text = _text(value, "address", errors).strip()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        errors.setdefault("address", "Enter the address as host:port, e.g. localhost:6379.")
    elif len(text) > LONGEST_ADDRESS:
        errors["address"] = f"The address is longer than {LONGEST_ADDRESS:,} characters."
    elif len(parts) > 1 and not several:
        errors["address"] = (
            "Several addresses are for Cluster Mode or a Sentinel service. Set one, or enter one address."
        )
    else:
        try:
            return tuple(dict.fromkeys(split_host_port(part) for part in parts))
        except HostInvalid as invalid:
            errors["address"] = str(invalid)
    return ()


def _database(value: object, errors: dict[str, str], *, cluster: bool) -> int:
    text = str(value if value is not None else "").strip() or "0"
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 6):  # noqa: PLR2004 - digits
        errors["database"] = "The database is a whole number from 0."
        return 0
    if cluster and int(text):
        errors["database"] = "A cluster has database 0 only. Enter 0, or turn Cluster Mode off."
    return int(text)


def _flag(settings: Mapping[str, object], key: str, errors: dict[str, str]) -> bool:
    value = settings.get(key)
    text = str(value if value is not None else "").strip().lower()
    if text not in _TRUE | _FALSE:
        errors[key] = f"{key} is either on or off."
    return text in _TRUE


def _text(value: object, key: str, errors: dict[str, str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\x00" in value:
        errors[key] = f"{key} must be a text."
        return ""
    return value


def _check_pem(text: str, errors: dict[str, str]) -> None:
    if text.strip() and not tls.is_pem_certificate(text):
        errors["caCertificate"] = (
            "The CA certificate is not readable. Paste PEM text, from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE-----."
        )


def _check_pair(certificate: str, key: str, *, errors: dict[str, str]) -> None:
    if not certificate and not key:
        return
    if not certificate:
        errors.setdefault("clientCertificate", "Paste the client certificate that belongs to the key.")
    elif not key:
        errors.setdefault("clientKey", "Paste the key that belongs to the client certificate.")
    else:
        try:
            tls.check_pair(certificate, key)
        except tls.PairRefused as refused:
            errors.setdefault(refused.field, str(refused))
