"""Questions to PostgreSQL's catalogue: which schemas, relations and columns there are, and which grants are missing."""

# `?` marks parameters, as in `port.Warehouse.fetch`.

SCHEMAS = """
    SELECT nspname::text FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname::text COLLATE "C"
"""
SCHEMA_USABLE = "SELECT has_schema_privilege(oid, ?::text) FROM pg_namespace WHERE nspname = ?::text"
RELATIONS = """
    SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ?::text AND c.relkind IN ('r', 'v', 'm', 'f', 'p') ORDER BY c.relname::text COLLATE "C"
"""
RELATION_USABLE = """
    SELECT has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ?::text AND c.relname = ?::text AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
"""
# A column's type is the one below its domains: what a domain forbids was checked when the row was written. The third
# column is the oid of a nested type, which `postgresql_types` tells in full, else 0.
COLUMNS = """
    WITH RECURSIVE typed AS (
        SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS modifier
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ?::text AND c.relname = ?::text AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT d.attnum, d.attname, t.typbasetype, t.typtypmod
        FROM typed d JOIN pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
    )
    SELECT d.attname::text, format_type(d.type, d.modifier)::text,
        (CASE WHEN t.typtype = 'c' OR t.typcategory = 'A' THEN t.oid ELSE 0 END)::int8
    FROM typed d JOIN pg_type t ON t.oid = d.type WHERE t.typtype <> 'd' ORDER BY d.attnum
"""
OWN_TABLES = """
    SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ?::text AND c.relkind = 'r' AND starts_with(c.relname::text, ?::text)
    ORDER BY c.relname::text COLLATE "C"
"""
SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog",
}


def session_settings() -> str:
    """Return the query that fixes what the text of a value depends on, and which names are found without a schema."""
    settings = ", ".join(f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in SESSION.items())
    return f"SELECT {settings}"
