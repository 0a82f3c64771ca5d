"""Connecting to PostgreSQL: servers that speak another language, and servers that prove who they are."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from adbc_driver_manager import AdbcStatusCode, OperationalError

from projects.warehouses import port
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from projects.warehouses.postgresql_errors import connection_error
from tests.certificates import Certificates
from tests.postgres import PostgresServer, cluster

# As PostgreSQL 15 says it with lc_messages in German, Japanese and French.
SAID = [
    ("FATAL:  Passwort-Authentifizierung für Benutzer »rudder« fehlgeschlagen", port.WarehouseRefused),
    ('FATAL:  ユーザー"rudder"のパスワード認証に失敗しました', port.WarehouseRefused),
    ("FATAL:  authentification par mot de passe échouée pour l'utilisateur  « rudder »", port.WarehouseRefused),
    ("FATAL:  kein pg_hba.conf-Eintrag für Host »::1«, keine Verschlüsselung", port.WarehouseRefused),
    ("FATAL:  Datenbank »shop« existiert nicht", port.RelationMissing),
    ('FATAL:  データベース"shop"は存在しません', port.RelationMissing),
    ("FATAL:  la base de données « shop » n'existe pas", port.RelationMissing),
    ("FATAL:  tut mir leid, schon zu viele Verbindungen", port.WarehouseBusy),
    ("FATAL:  現在クライアント数が多すぎます", port.WarehouseBusy),
    ("ВАЖНО:  извините, уже слишком много клиентов", port.WarehouseBusy),
]


@pytest.mark.parametrize(("said", "kind"), SAID)
def test_a_refusal_in_any_language_is_told_by_what_it_names(said: str, kind: type[port.WarehouseError]) -> None:
    text = f'IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 5432 failed: {said}\n'
    error = connection_error(OperationalError(text, status_code=AdbcStatusCode.IO), user="rudder", database="shop")
    assert type(error) is kind
    assert said not in str(error)


def test_a_name_counts_only_where_it_stands_by_itself() -> None:
    text = 'connection to server at "h", port 1 failed: FATAL:  tut mir leid, schon zu viele Verbindungen'
    error = connection_error(OperationalError(text, status_code=AdbcStatusCode.IO), user="tu", database="viel")
    assert type(error) is port.WarehouseBusy


def test_what_no_server_said_is_a_warehouse_out_of_reach() -> None:
    text = 'connection to server at "rudder", port 1 failed: rudder and shop went away'
    error = connection_error(OperationalError(text, status_code=AdbcStatusCode.IO), user="rudder", database="shop")
    assert type(error) is port.WarehouseUnreachable


@dataclass
class Secured:
    """A server with a certificate for `localhost`, and the file of the CA that signed it."""

    server: PostgresServer
    ca: Path

    def open(self, host: str, sslmode: str = "verify-full") -> PostgreSQLWarehouse:
        server = self.server
        settings = PostgreSQLSettings(
            host, server.port, "postgres", server.user, server.password, sslmode=sslmode, hostaddr="127.0.0.1"
        )
        return PostgreSQLWarehouse(settings)


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    folder = Path(tempfile.mkdtemp(prefix="activation-certificates-", dir="/tmp"))
    try:
        certificates = Certificates(folder)
        certificate, key = certificates.issue("localhost")
        ca = folder / "trusted.pem"
        ca.write_text(certificates.pem)
        key.chmod(0o600)
        for path in (folder, certificate, key):
            if os.geteuid() == 0:
                shutil.chown(path, "postgres", "postgres")
        with cluster(ssl="on", ssl_cert_file=str(certificate), ssl_key_file=str(key)) as server:
            yield Secured(server, ca)
    finally:
        shutil.rmtree(folder)


ENCRYPTED = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()"


def test_a_server_whose_certificate_is_trusted_and_names_it_is_connected_to(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.ca))
    with secured.open("localhost") as warehouse:
        assert warehouse.fetch(ENCRYPTED) == [(True,)]


@pytest.mark.parametrize(("host", "trusted"), [("elsewhere.example", True), ("localhost", False)])
def test_a_server_that_does_not_prove_who_it_is_is_not_told_the_password(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(secured.ca))
    with secured.open(host) as warehouse, pytest.raises(port.WarehouseUnreachable) as failed:
        warehouse.schemas()
    assert failed.value.detail == "tls"


def test_require_encrypts_without_asking_who_it_is(secured: Secured) -> None:
    with secured.open("elsewhere.example", sslmode="require") as warehouse:
        assert warehouse.fetch(ENCRYPTED) == [(True,)]
