"""What can go wrong with a destination, in our own words.

The driver's messages print commands with their data, so none of them ever leaves `activation.engine.node`: what is
raised from there is one of these, with a stable `code`, whether repeating may help, and a message for a person.
"""


class DestinationError(Exception):
    """A destination did not do what it was asked. `transient` tells whether trying again may help."""

    code = "destination_error"
    transient = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class DestinationUnreachable(DestinationError):
    """No connection could be made, or it broke."""

    code = "unreachable"
    transient = True


class DestinationTimeout(DestinationUnreachable):
    """The server took longer than the time limit."""

    code = "timeout"


class DestinationBusy(DestinationError):
    """The server cannot do it at the moment: loading, out of memory, failing over, resharding."""

    code = "busy"
    transient = True


class DestinationRefused(DestinationError):
    """The server does not accept the user, the password or the command."""

    code = "refused"


class ScriptsRefused(DestinationRefused):
    """The user may not run scripts, which every sync needs."""

    code = "scripts_refused"


class DestinationAddressRefused(DestinationError):
    """The address leads to a place that must not be dialled."""

    code = "address_refused"


class CertificateRefused(DestinationError):
    """TLS could not be agreed on, or the server's certificate is not one we may trust."""

    code = "certificate_refused"


class ClientCertificateRefused(CertificateRefused):
    """The server wants a client certificate of us, or refuses the one that we showed."""

    code = "client_certificate_refused"


class DestinationMisconfigured(DestinationError):
    """The settings do not fit the server: no cluster, a cluster, no such database."""

    code = "misconfigured"


class UnexpectedType(DestinationError):
    """A key holds something other than a profile, written by someone else."""

    code = "wrong_type"


class Redirected(DestinationError):
    """A cluster node says that another one owns the slot. Followed by `connection`, never seen outside."""

    code = "redirected"
    transient = True

    def __init__(self, slot: int, host: str, port: int, *, ask: bool) -> None:
        super().__init__("The cluster moved the slot to another node.")
        self.slot, self.host, self.port, self.ask = slot, host, port, ask


class ScriptUnknown(DestinationError):
    """The server does not hold a script (yet). Loaded and repeated by the loader, never seen outside."""

    code = "script_unknown"
    transient = True
