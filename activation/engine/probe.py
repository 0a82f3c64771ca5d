"""The connection test of a destination, in named steps: which one fails, why, and what to do.

It does what a sync will do, in the same way: the same guard, the same scripts, keys with the destination's own
prefix. What it writes it removes.
"""

import contextlib
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from activation.engine import tls
from activation.engine.connection import Deployment, connect
from activation.engine.cures import cure_for
from activation.engine.endpoint import Endpoint, tls_context
from activation.engine.errors import (
    CertificateRefused,
    DestinationAddressRefused,
    DestinationError,
    DestinationMisconfigured,
    DestinationTimeout,
    DestinationUnreachable,
)
from activation.engine.loader import Bookkeeping, Claim, FenceMissing, FenceMoved, Loader
from activation.engine.node import Channel, Limits, Reply
from activation.engine.redis_settings import RedisSettings
from projects.warehouses.addresses import AddressError, AddressPolicy, NameUnknown

StepState = Literal["passed", "failed", "not_reached", "skipped"]
STEP_WITHIN = 2.0
ALL_WITHIN = 10.0


@dataclass(frozen=True)
class Step:
    """One step of the test. `cure` tells what to do when it failed."""

    name: str
    state: StepState
    message: str = ""
    cure: str = ""


class _Skipped(Exception):
    """A step that does not apply, or that the server does not let us take."""


class _Problem(Exception):
    """A step failed for a reason that is no error of the server."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


def probe(
    settings: RedisSettings,
    *,
    key_prefix: str,
    allow_private: bool,
    forbidden: Sequence[tuple[str, int]] = (),
    accept_eviction: bool = False,
) -> Iterator[Step]:
    """Test a destination: name → TCP → TLS → AUTH → cluster and role → write, read, delete → scripts → memory policy.

    `key_prefix` is `<workspace id>:<destination id>:`. Yields every step as it is known, also those not reached after
    a failure; raises nothing, and takes about ten seconds at most. `accept_eviction` lets an allkeys policy pass.
    """
    trial = _Trial(settings, key_prefix, allow_private, tuple(forbidden), accept_eviction=accept_eviction)
    deadline = time.monotonic() + ALL_WITHIN
    broken = False
    for name, check in trial.steps():
        if broken:
            yield Step(name, "not_reached")
            continue
        step = _take(name, check, trial, late=time.monotonic() > deadline)
        broken = step.state == "failed"
        yield step
    trial.close()


def _take(name: str, check: Callable[[], str], trial: "_Trial", *, late: bool) -> Step:
    if late:
        return Step(
            name,
            "failed",
            f"The test took longer than {ALL_WITHIN:g} s.",
            "Try again; if it stays so slow, look at the network.",
        )
    try:
        return Step(name, "passed", check())
    except _Skipped as skipped:
        return Step(name, "skipped", str(skipped))
    except _Problem as problem:
        return Step(name, "failed", str(problem), problem.cure)
    except DestinationError as error:
        cure = cure_for(error, key_prefix=trial.key_prefix, cluster=trial.settings.cluster_mode)
        return Step(name, "failed", str(error), cure)


@dataclass
class _Trial:
    """One test of one destination; each step builds on those before it."""

    settings: RedisSettings
    key_prefix: str
    allow_private: bool
    forbidden: tuple[tuple[str, int], ...]
    accept_eviction: bool
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
                raise _Problem(f"{endpoint.text} wants TLS.", "Turn Secure on.")
            raise _Skipped("Secure is off.")
        try:
            self._shake_hands(endpoint)
        except OSError as error:
            if isinstance(error, ssl.SSLCertVerificationError) or (
                isinstance(error, ssl.SSLError) and tls.is_about_our_certificate(error)
            ):
                raise tls.refused(error, endpoint.text) from None
            if endpoint.speaks_plain(STEP_WITHIN):
                message = f"{endpoint.text} does not speak TLS on this port."
                raise _Problem(message, "Turn Secure off, or enter the port on which it speaks TLS.") from None
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
        limits = Limits(STEP_WITHIN, STEP_WITHIN)
        self._channel = Channel(self._endpoints[0], replace(self.settings, database=0), limits)
        reply = self._try("PING")
        if isinstance(reply, DestinationError) and reply.code != "noperm":
            raise reply
        if not self.settings.password:
            return "Redis wants no password."
        return f"Logged in as {self.settings.username}." if self.settings.username else "Redis accepts the password."

    def look_at_role(self) -> str:
        if self.settings.cluster_mode:
            return self._look_at_cluster()
        if isinstance(self._try("CLUSTER", "INFO"), bytes):
            raise DestinationMisconfigured("This Redis is a cluster.", code="is_cluster")
        role = self._try("ROLE")
        if isinstance(role, list) and role[0] in {b"slave", b"replica"}:
            raise _Problem("This Redis is a replica and accepts no writes.", "Enter the address of the primary.")
        if self.settings.database:
            self._ask("SELECT", self.settings.database)
        return f"A single server, database {self.settings.database}."

    def write_read_delete(self) -> str:
        key, value = f"{self.key_prefix}_activation:probe:{self._token}", b'{"PROBE":true}'
        deployment = self._deployed()
        try:
            deployment.execute(key, "HSET", key, "probe", value)
            if deployment.execute(key, "HGETALL", key) != [b"probe", value]:
                raise _Problem(
                    "Redis did not give back what was written.", "Check that nothing else writes or clears it."
                )
        finally:
            removed = deployment.execute_many([(key, ("UNLINK", key))])[0]
        if isinstance(removed, DestinationError):
            raise removed
        return f"One key beginning with {self.key_prefix} was written, read and deleted."

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
                raise _Problem("Redis lost a key between two commands.", "Check that nothing else clears it.") from None
            finally:
                loader.finish(source)
        return "Syncs may run their scripts."

    def look_at_memory(self) -> str:
        """Redis answers unknown sections of INFO with nothing and refuses it to limited users: both mean unknown."""
        reply = self._try("INFO", "memory")
        text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
        facts = dict(line.partition(":")[::2] for line in text.splitlines())
        policy = facts.get("maxmemory_policy", "")
        if not policy:
            raise _Skipped("Redis does not tell what it does when its memory is full.")
        if not policy.startswith("allkeys-") or facts.get("maxmemory") == "0":
            return f"When its memory is full: {policy}."
        if self.accept_eviction:
            return f"When its memory is full, Redis drops profiles ({policy}); this was accepted."
        raise _Problem(
            f"When its memory is full, this Redis drops profiles without a word ({policy}).",
            "Set maxmemory-policy to noeviction, or to volatile-lru, which never drops profiles.",
        )

    def _look_at_cluster(self) -> str:
        primaries = self._deployed().primaries()
        for primary in primaries:
            try:
                primary.pipeline([("PING",)])
            except DestinationUnreachable:
                node = primary.endpoint.text
                raise _Problem(
                    f"The cluster names {node} as one of its nodes, which cannot be reached from here.",
                    "Open the way to every node, or have the nodes announce addresses that can be reached from here.",
                ) from None
        return f"A cluster of {len(primaries)} {'primary' if len(primaries) == 1 else 'primaries'}."

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
