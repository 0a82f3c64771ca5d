"""Webhooks are signed, go only where they may, follow nothing, and cost a worker five seconds at most."""

import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from activation import webhooks
from activation.webhooks import WebhookFailed, WebhookInvalid
from projects.warehouses.addresses import AddressPolicy
from tests.activation.alerts.receiver import Receiver
from tests.certificates import Certificates
from tests.rules.files import ROOT

PRIVATE = AddressPolicy(allow_private=True)
SECRET = "whsec_" + "s" * 43


def post(url: str, policy: AddressPolicy = PRIVATE, body: bytes = b"{}") -> None:
    webhooks.post(webhooks.parse(url, allow_http=True), body, {"X-One": "1"}, policy=policy)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let names lead to the addresses given, one answer after the other; return the names that were asked for."""
    asked: list[str] = []
    left = list(answers)

    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *more: Any, **named: Any) -> Any:
        if host[0].isdigit():  # an address that is dialled
            return real(host, port, *more, **named)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0) if len(left) > 1 else left[0], port))]

    monkeypatch.setattr("projects.warehouses.addresses.socket.getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def documented() -> Callable[..., bool]:
    """The check that receivers are told to make, from the documentation."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "watching.md").read_text(), re.DOTALL)
    names: dict[str, Callable[..., bool]] = {}
    exec(code, names)  # our own documentation
    return names["is_genuine"]


def test_the_documented_check_accepts_what_is_signed_and_nothing_else(documented):
    at = 1_800_000_000
    header = webhooks.signature([SECRET], b'{"a": 1}', at=at)

    assert re.fullmatch(r"t=1800000000,v1=[0-9a-f]{64}", header)
    assert documented(SECRET, header, b'{"a": 1}', now=at + 200)
    assert not documented(SECRET, header, b'{"a": 2}', now=at)
    assert not documented(SECRET + "x", header, b'{"a": 1}', now=at)
    assert not documented(SECRET, header, b'{"a": 1}', now=at + 301)
    assert not documented(SECRET, header.replace("t=1800000000", "t=1800000001"), b'{"a": 1}', now=at)


def test_after_a_rotation_either_secret_verifies(documented):
    header = webhooks.signature(["new", "old"], b"{}", at=5)
    assert [documented(secret, header, b"{}", now=5) for secret in ("new", "old", "other")] == [True, True, False]


def test_a_post_arrives_whole_with_its_headers():
    with Receiver() as receiver:
        post(receiver.url(), body=b"\x00body")

    [got] = receiver.received
    assert (got.path, got.body, got.headers["X-One"]) == ("/hook?key=abc", b"\x00body", "1")
    assert got.headers["Host"] == f"127.0.0.1:{receiver.port}"


def test_a_name_is_looked_up_once_and_the_judged_address_is_dialled(monkeypatch):
    with Receiver() as receiver:
        asked = resolving(monkeypatch, "127.0.0.1", "169.254.169.254")
        post(receiver.url("hooks.example.com"))
    assert asked == ["hooks.example.com"]
    assert receiver.received[0].headers["Host"] == f"hooks.example.com:{receiver.port}"


@pytest.mark.parametrize("address", ["10.0.0.5", "127.0.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"])
def test_nothing_inside_is_dialled_unless_private_addresses_are_allowed(monkeypatch, address):
    with Receiver() as receiver:
        resolving(monkeypatch, address)
        with pytest.raises(WebhookFailed, match=r"private|link-local"):
            post(receiver.url("hooks.example.com"), AddressPolicy())
    assert receiver.received == []


def test_metadata_and_our_own_servers_are_never_dialled():
    with pytest.raises(WebhookFailed, match="metadata"):
        post("http://169.254.169.254/latest")
    with Receiver() as receiver, pytest.raises(WebhookFailed, match="own servers"):
        post(receiver.url(), AddressPolicy(allow_private=True, forbidden=frozenset({("127.0.0.1", receiver.port)})))
    assert receiver.received == []


def test_a_redirect_is_not_followed():
    with (
        Receiver() as elsewhere,
        Receiver(status=307, location=elsewhere.url()) as receiver,
        pytest.raises(WebhookFailed, match="307, a redirect"),
    ):
        post(receiver.url())
    assert (len(receiver.received), elsewhere.received) == (1, [])


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_only_a_success_counts(status):
    with Receiver(status=status) as receiver, pytest.raises(WebhookFailed, match=f"answered {status}"):
        post(receiver.url())


def test_a_receiver_that_drips_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(webhooks, "WITHIN", 0.6)
    started = time.monotonic()
    with Receiver(drip=0.05) as receiver, pytest.raises(WebhookFailed, match="did not answer within"):
        post(receiver.url())
    assert time.monotonic() - started < 2


def test_a_greeting_that_never_comes_is_cut_off(monkeypatch):
    monkeypatch.setattr(webhooks, "WITHIN", 0.4)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(WebhookFailed, match="did not answer within"),
    ):
        post(f"https://127.0.0.1:{silent.getsockname()[1]}/")


def test_nobody_there_is_said_in_our_own_words():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(WebhookFailed, match=f"Nothing listens on 127.0.0.1:{port}"):
        post(f"http://127.0.0.1:{port}/secret-path")


def test_a_certificate_is_checked_against_the_name_and_not_the_address(monkeypatch, tmp_path):
    authority = Certificates(tmp_path)
    certificate, key = authority.issue("hooks.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusted = tmp_path / "authority.pem"
    trusted.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    resolving(monkeypatch, "127.0.0.1")

    with Receiver(context=context) as receiver:
        post(receiver.url("hooks.example.com"))
        with pytest.raises(WebhookFailed, match=r"certificate of other.example.com is not valid"):
            post(receiver.url("other.example.com"))
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(WebhookFailed, match="certificate"):
            post(receiver.url("hooks.example.com"))
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/", "Only https"),
        ("ftp://hooks.example.com/", "whole URL"),
        ("hooks.example.com/x", "whole URL"),
        ("https://", "whole URL"),
        ("https://user:pass@hooks.example.com/", "Leave out user"),
        ("https://hooks.example.com/#x", "Leave out user"),
        ("https://hooks.example.com:99999/", "not a URL"),
        ("https://hooks.example.com:0/", "not a port"),
        ("https://hooks example.com/", "no blanks"),
        ("https://hooks.example.com/\r\nX: y", "no blanks"),
        ("https://bücher.example/", "no blanks"),
        ("https://0x7f000001/", "neither a DNS name"),
        ("https://2130706433/", "neither a DNS name"),
        ("https://[::1%25lo]/", "neither a DNS name"),
        ("https://h.example/" + "x" * 2000, "at most 2,000"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(url, said):
    with pytest.raises(WebhookInvalid, match=said):
        webhooks.parse(url, allow_http=False)


def test_an_ipv6_address_is_taken_in_its_brackets():
    target = webhooks.parse("https://[2001:db8::1]:8443/x?y=1", allow_http=False)
    assert (target.host, target.port, target.path) == ("2001:db8::1", 8443, "/x?y=1")
