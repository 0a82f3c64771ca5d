"""Client certificates: a server that wants one of us, and which side is said to refuse what."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from activation.engine import tls
from activation.engine.connection import RedisSettings, SettingsInvalid
from activation.engine.errors import ClientCertificateRefused
from activation.engine.store import Store
from tests.activation.redis.conftest import Place, with_client_certificate
from tests.activation.redis.test_probe import failure_of, steps_of
from tests.certificates import Certificates
from tests.redis_servers import DebianRedis

KEY = "ws:dest:user:email:jane@example.com"


@pytest.fixture
def pair(certificates: Certificates) -> tuple[str, str]:
    certificate, key = certificates.issue("profiles")
    return certificate.read_text(), key.read_text()


def settings_with(certificate: str, key: str) -> RedisSettings:
    credentials = {"clientCertificate": certificate, "clientKey": key}
    return RedisSettings.from_plain({"address": "localhost:1", "secure": True}, credentials)


def test_the_test_says_that_our_certificate_was_accepted(mutual_tls_place: Place):
    step = next(step for step in steps_of(mutual_tls_place.settings) if step.name == "TLS")

    assert step.message == "The server's certificate is trusted, and ours was accepted."


def test_a_server_that_wants_a_certificate_of_us_says_so(
    mutual_tls_server: DebianRedis, mutual_tls_place: Place, certificates: Certificates
):
    without = with_client_certificate(mutual_tls_place.clients[0], mutual_tls_server, certificates)

    step = failure_of(without.settings)
    assert (step.name, "wants a client certificate" in step.message) == ("TLS", True)
    with pytest.raises(ClientCertificateRefused) as caught:
        Store(without.settings, allow_private=True, command_timeout=2.0).read(KEY)
    assert (caught.value.code, caught.value.transient) == ("client_certificate_missing", False)


@pytest.mark.parametrize("expired", [False, True])
def test_a_certificate_of_ours_that_the_server_does_not_trust_is_told_apart_from_its_own(
    mutual_tls_server: DebianRedis, mutual_tls_place: Place, certificates: Certificates, tmp_path: Path, expired: bool
):
    issuer = certificates if expired else Certificates(tmp_path)
    files = issuer.issue("stranger", expired=expired)
    place = with_client_certificate(mutual_tls_place.clients[0], mutual_tls_server, certificates, *files)

    step = failure_of(place.settings)
    assert (step.name, "refuses our client certificate" in step.message) == ("TLS", True)
    assert "signed by a CA that the server trusts" in step.cure


def test_a_certificate_needs_its_key_and_a_key_its_certificate(pair):
    for certificate, key, field in ((pair[0], "", "clientKey"), ("", pair[1], "clientCertificate")):
        with pytest.raises(SettingsInvalid) as caught:
            settings_with(certificate, key)
        assert set(caught.value.errors) == {field}


@pytest.mark.parametrize(
    ("spoil", "field", "words"),
    [
        (lambda pair, _: ("nonsense", pair[1]), "clientCertificate", "not readable"),
        (lambda pair, _: (pair[0], "nonsense"), "clientKey", "not readable"),
        (lambda pair, other: (pair[0], other), "clientKey", "does not belong"),
        (lambda pair, _: (pair[0], locked(pair[1])), "clientKey", "passphrase"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said(certificates: Certificates, pair, spoil, field, words):
    another = certificates.issue("another")[1].read_text()

    with pytest.raises(SettingsInvalid) as caught:
        settings_with(*spoil(pair, another))
    assert list(caught.value.errors) == [field]
    assert words in caught.value.errors[field]


def locked(key: str) -> str:
    """The same key behind a passphrase."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    return loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def test_the_pair_is_left_out_without_tls_and_never_printed(pair):
    credentials = {"clientCertificate": pair[0], "clientKey": pair[1]}
    plain = RedisSettings.from_plain({"address": "localhost:1"}, credentials)

    assert (plain.client_certificate, plain.client_key) == ("", "")
    assert pair[1].splitlines()[1] not in repr(settings_with(*pair))


def test_the_key_is_not_left_on_disk_where_files_cannot_live_in_memory(pair, monkeypatch, tmp_path: Path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    tls.check_pair(*pair)

    assert list(tmp_path.iterdir()) == []
