"""Questions to DuckDB's catalogue: which schemas, relations and columns a file has. `?` marks parameters."""

from pathlib import Path

RESERVED_CATALOGS = frozenset({"memory", "system", "temp", "main", "_made"})
SCHEMAS = (
    "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND (NOT internal OR schema_name = 'main')"
    " ORDER BY schema_name"
)
RELATIONS = (
    "SELECT view_name AS name FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND NOT internal"
    " UNION ALL"
    " SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND NOT internal"
    " ORDER BY name"
)
_OWN = "database_name = ? AND lower(schema_name) = lower(?) AND lower({name}) = lower(?) AND NOT internal"


def catalog(file: Path) -> str:
    """Return the name to attach a file under: DuckDB's own, the file's stem, because its views may say it."""
    name = file.stem
    ours = name.lower() in RESERVED_CATALOGS or name.lower().startswith("activation_")
    return "customer" if ours or not name else name


def columns(relation: str) -> str:
    """Return the query for the columns of a relation (quoted); none when it is one of DuckDB's own.

    Its parameters are catalog, schema and name, twice.
    """
    views, tables = (_OWN.format(name=name) for name in ("view_name", "table_name"))
    return (
        f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {relation})"
        f" WHERE EXISTS (FROM duckdb_views() WHERE {views}) OR EXISTS (FROM duckdb_tables() WHERE {tables})"
    )
