"""Opens a warehouse: the one place where a stored connection becomes a driver's.

Only workers and commands come here, never a web process, and only in the process that uses the connection: the
drivers hang after a fork. The host is resolved once, judged, and the judged address is dialled.
"""

from pathlib import Path

from django.conf import settings

from accounts import vault
from projects import connection_settings, own_servers
from projects.connection_settings import DuckDBConnection, PostgreSQLConnection, SettingRefused
from projects.models import Warehouse
from projects.warehouses import port
from projects.warehouses.addresses import AddressError, NameUnknown


def open_warehouse(warehouse: Warehouse) -> port.Warehouse:
    """Return a connection to use in a `with` block.

    Raises `WarehouseUnreachable` when the host does not resolve, `WarehouseRefused` when its address may not be
    dialled or its settings cannot be used, and what the adapter raises.
    """
    try:
        connection = connection_settings.read(warehouse.kind, warehouse.settings)
    except SettingRefused as error:
        raise port.WarehouseRefused(f"{warehouse.name}: {error}") from None
    if isinstance(connection, DuckDBConnection):
        return _duckdb(connection, warehouse)
    return _postgresql(connection, password_of(warehouse))


def password_of(warehouse: Warehouse) -> str:
    """Decrypt the stored password. Raises `accounts.vault.SecretUnreadable`."""
    return vault.decrypt(warehouse.credentials) if warehouse.credentials else ""


def _duckdb(connection: DuckDBConnection, warehouse: Warehouse) -> port.Warehouse:
    # Adapters are imported where they are used: web processes never load a driver.
    from projects.warehouses.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(
        Path(connection.file),
        folder=Path(settings.DUCKDB_DIR),
        snapshot_dir=Path(settings.SNAPSHOT_DIR) / warehouse.public_id,
    )


def _postgresql(connection: PostgreSQLConnection, password: str) -> port.Warehouse:
    from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse

    try:
        policy = own_servers.policy(database=connection.database)
        hostaddr = policy.resolve(connection.host, connection.port)[0]
    except NameUnknown as error:
        raise port.WarehouseUnreachable(str(error)) from None
    except AddressError as error:
        raise port.WarehouseRefused(str(error)) from None
    return PostgreSQLWarehouse(
        PostgreSQLSettings(
            host=connection.host,
            port=connection.port,
            database=connection.database,
            user=connection.user,
            password=password,
            sslmode=connection.sslmode,
            hostaddr=hostaddr,
        )
    )
