"""One test of one destination: what each step of the connection test does, each building on those before it."""

import contextlib
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from activation.engine import tls
from activation.engine.channel import Channel, Limits
from activation.engine.connection import Deployment, connect
from activation.engine.documents import members
from activation.engine.endpoint import Endpoint, tls_context
from activation.engine.errors import (
    CertificateRefused,
    DestinationAddressRefused,
    DestinationError,
    DestinationMisconfigured,
    DestinationRefused,
    DestinationTimeout,
    DestinationUnreachable,
)
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, FenceMoved, Loader
from activation.engine.memory import memory
from activation.engine.node import Node
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply
from projects.warehouses.addresses import AddressError, AddressPolicy, NameUnknown

STEP_WITHIN = 2.0


class Skipped(Exception):
    """A step that does not apply, or that the server does not let us take."""


class Problem(Exception):
    """A step failed for a reason that is no error of the server."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


@dataclass
class Trial:
    """A test under way. A step returns what it found, or raises `Skipped`, `Problem` or `DestinationError`."""

    settings: RedisSettings
    key_prefix: str
    allow_private: bool
    forbidden: tuple[tuple[str, int], ...]
    _endpoints: list[Endpoint] = field(default_factory=list)
    _channel: Channel | None = None
    _deployment: Deployment | None = None
    _token: str = field(default_factory=lambda: secrets.token_hex(8))

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("Name resolution", self.resolve),
            ("TCP", self.dial),
            ("TLS", self.agree_on_tls),
            ("AUTH", self.log_in),
            ("Cluster and role", self.look_at_role),
            ("Write, read and delete", self.write_read_delete),
            ("Scripts", self.run_scripts),
            ("Memory policy", self.look_at_memory),
        ]

    def close(self) -> None:
        for opened in (self._channel, self._deployment):
            if opened is not None:
                opened.close()

    def resolve(self) -> str:
        policy = AddressPolicy(self.allow_private, frozenset(self.forbidden))
        tls, found, unknown = tls_context(self.settings), [], ""
        for host, port in self.settings.addresses:
            endpoint = Endpoint(host, port, policy, tls)
            try:
                found.append(f"{host} is {endpoint.addresses()[0]}")
            except NameUnknown as error:
                unknown = str(error)
            except AddressError as error:
                raise DestinationAddressRefused(str(error)) from None
            else:
                self._endpoints.append(endpoint)
        if not found:
            raise DestinationUnreachable(unknown, code="name_unknown")
        return "; ".join(found) + "."

    def dial(self) -> str:
        failure: DestinationError | None = None
        for endpoint in self._endpoints:
            try:
                endpoint.dial_tcp(STEP_WITHIN)[0].close()
            except ConnectionRefusedError:
                failure = DestinationUnreachable(f"{endpoint.text} refuses connections: nothing listens on that port.")
            except TimeoutError:
                failure = DestinationTimeout(f"{endpoint.text} did not answer within {STEP_WITHIN:g} s.")
            except OSError:
                failure = DestinationUnreachable(f"There is no way from here to {endpoint.text}.")
            else:
                self._endpoints = [endpoint]
                return f"{endpoint.text} accepts connections."
        assert failure is not None
        raise failure

    def agree_on_tls(self) -> str:
        endpoint = self._endpoints[0]
        if not self.settings.secure:
            if not endpoint.speaks_plain(STEP_WITHIN) and endpoint.speaks_tls(STEP_WITHIN):
                raise Problem(f"{endpoint.text} wants TLS.", "Turn Secure on.")
            raise Skipped("Secure is off.")
        try:
            self._shake_hands(endpoint)
        except OSError as error:
            if isinstance(error, ssl.SSLCertVerificationError) or (
                isinstance(error, ssl.SSLError) and tls.is_about_our_certificate(error)
            ):
                raise tls.refused(error, endpoint.text) from None
            if endpoint.speaks_plain(STEP_WITHIN):
                message = f"{endpoint.text} does not speak TLS on this port."
                raise Problem(message, "Turn Secure off, or enter the port on which it speaks TLS.") from None
            raise CertificateRefused(f"{endpoint.text} and we do not agree on TLS.", code="tls_failed") from None
        theirs = "is not checked" if self.settings.skip_verify else "is trusted"
        return f"The server's certificate {theirs}{', and ours was accepted' * bool(self.settings.client_key)}."

    @staticmethod
    def _shake_hands(endpoint: Endpoint) -> None:
        """Agree on TLS and wait for one reply: a TLS 1.3 server judges our certificate after the handshake."""
        with endpoint.dial(STEP_WITHIN) as sock, contextlib.suppress(TimeoutError):
            sock.sendall(b"*1\r\n$4\r\nPING\r\n")
            sock.recv(1)

    def log_in(self) -> str:
        endpoint = self._primary().endpoint if self.settings.sentinel_service else self._endpoints[0]
        self._channel = _logged_in(endpoint, replace(self.settings, database=0))
        if not self.settings.password:
            return "Redis wants no password."
        return f"Logged in as {self.settings.username}." if self.settings.username else "Redis accepts the password."

    def look_at_role(self) -> str:
        if self.settings.cluster_mode:
            return self._look_at_cluster()
        if isinstance(self._try("CLUSTER", "INFO"), bytes):
            raise DestinationMisconfigured("This Redis is a cluster.", code="is_cluster")
        role = self._try("ROLE")
        if isinstance(role, list) and role[0] == b"sentinel":
            raise Problem("This is a sentinel.", "Enter the name of its service under Sentinel service.")
        if isinstance(role, list) and role[0] != b"master":
            raise Problem("This Redis is a replica and accepts no writes.", "Enter the address of the primary.")
        if self.settings.database:
            self._ask("SELECT", self.settings.database)
        if self.settings.sentinel_service:
            where = self._primary().endpoint.text
            return f"The primary of {self.settings.sentinel_service} is {where}, database {self.settings.database}."
        return f"A single server, database {self.settings.database}."

    def write_read_delete(self) -> str:
        key, value = f"{self.key_prefix}_activation:probe:{self._token}", b'{"PROBE":true}'
        deployment = self._deployed()
        try:
            if self._written(deployment, key, value) != {"probe": value}:
                raise Problem(
                    "Redis did not give back what was written.", "Check that nothing else writes or clears it."
                )
        finally:
            removed = deployment.execute_many([(key, ("UNLINK", key))])[0]
        if isinstance(removed, DestinationError):
            raise removed
        return f"One key beginning with {self.key_prefix} was written, read and deleted."

    def _written(self, deployment: Deployment, key: str, value: bytes) -> dict[str, bytes]:
        """Write as the settings say and read it back."""
        if not self.settings.use_json_module:
            deployment.execute(key, "HSET", key, "probe", value)
            name, stored = deployment.execute(key, "HGETALL", key)
            return {name.decode(): stored}
        try:
            deployment.execute(key, "JSON.SET", key, "$", b'{"probe":%b}' % value)
            return members(deployment.execute(key, "JSON.GET", key), deployment.node_for(key).endpoint.text)
        except DestinationError as error:
            if error.code != "redis_unknowncommand":
                raise
        raise Problem(
            "This Redis has no JSON commands.",
            "Load the JSON module into it, or turn “Store data using the JSON module” off.",
        )

    def run_scripts(self) -> str:
        """Do what a sync does, with bookkeeping of its own on every primary, and remove it."""
        workspace_id, destination_id = self.key_prefix.rstrip(":").split(":")
        source, key = f"probe-{self._token}", f"{self.key_prefix}_activation:probe:{self._token}"
        with Loader(
            self.settings,
            Bookkeeping(workspace_id, destination_id, source),
            "probe",
            allow_private=self.allow_private,
            forbidden=self.forbidden,
            connect_timeout=STEP_WITHIN,
            command_timeout=STEP_WITHIN,
            pauses=(0.0,),
        ) as loader:
            loader.begin(source, 1, 1)
            try:
                claim = Claim(source, 1, 0, 1)
                loader.write(claim, [key], ["{}"])
                loader.write(claim, [key], [None])
            except (FenceMissing, FenceMoved):
                raise Problem("Redis lost a key between two commands.", "Check that nothing else clears it.") from None
            finally:
                loader.finish(source)
        return "Syncs may run their scripts."

    def look_at_memory(self) -> str:
        """Look at every primary: one that drops profiles is enough to lose some."""
        found = memory(self._deployed())
        if found is None:
            raise Skipped("Redis does not tell what it does when its memory is full.")
        policy = next((each.policy for each in found.values() if each.drops_profiles), "")
        if not policy:
            return f"When its memory is full: {', '.join(dict.fromkeys(each.policy for each in found.values()))}."
        if self.settings.accept_eviction:
            return f"When its memory is full, Redis drops profiles ({policy}); this was accepted."
        raise Problem(
            f"When its memory is full, this Redis drops profiles without a word ({policy}).",
            "Set maxmemory-policy to noeviction, or to volatile-lru, which never drops profiles. Or tick Accept that "
            "Redis may drop profiles.",
        )

    def _look_at_cluster(self) -> str:
        primaries = self._deployed().primaries()
        for primary in primaries:
            try:
                primary.pipeline([("PING",)])
            except DestinationUnreachable:
                node = primary.endpoint.text
                raise Problem(
                    f"The cluster names {node} as one of its nodes, which cannot be reached from here.",
                    "Open the way to every node, or have the nodes announce addresses that can be reached from here.",
                ) from None
        return f"A cluster of {len(primaries)} {'primary' if len(primaries) == 1 else 'primaries'}."

    def _primary(self) -> Node:
        """Log in at the sentinel that answered, and have the sentinels name the primary."""
        if self._deployment is None:
            try:
                _logged_in(self._endpoints[0], self.settings.for_sentinels()).close()
            except DestinationRefused as refused:
                raise Problem(
                    f"The sentinel did not let us in. {refused}", "Check Sentinel user and Sentinel password."
                ) from None
        try:
            return self._deployed().primaries()[0]
        except DestinationUnreachable as error:
            raise Problem(
                f"The sentinels name a primary that cannot be reached from here. {error}",
                "Open the way to the servers, or have them announce addresses that can be reached from here "
                "(replica-announce-ip, sentinel announce-ip).",
            ) from None

    def _deployed(self) -> Deployment:
        if self._deployment is None:
            limits = Limits(STEP_WITHIN, STEP_WITHIN, connections=2)
            self._deployment = connect(
                self.settings, allow_private=self.allow_private, forbidden=self.forbidden, limits=limits
            )
        return self._deployment

    def _ask(self, *command: str | int) -> Reply:
        assert self._channel is not None
        self._channel.send(self._channel.pack(command))
        return self._channel.read()

    def _try(self, *command: str | int) -> Reply | DestinationError:
        """Ask what the server may refuse to tell."""
        assert self._channel is not None
        self._channel.send(self._channel.pack(command))
        return self._channel.read_reply()


def _logged_in(endpoint: Endpoint, settings: RedisSettings) -> Channel:
    """Return a connection that may be used, whether or not the user may PING. Raises `DestinationError`."""
    channel = Channel(endpoint, settings, Limits(STEP_WITHIN, STEP_WITHIN))
    reply = channel.ask("PING")
    if isinstance(reply, DestinationError) and reply.code != "noperm":
        channel.close()
        raise reply
    return channel
