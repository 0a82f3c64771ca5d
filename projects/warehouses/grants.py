"""The SQL a person runs once, so that we may read the feature views and keep snapshots in a schema of ours.

Names are quoted, because they end up in a shell of the warehouse's owner: a schema called `x"; DROP …` must stay a
name. The text never holds a real password, only a place for one.
"""

OUR_SCHEMA = "_rudderstack"
PASSWORD_PLACE = "<strong_unique_password>"  # noqa: S105 - what the person replaces
CREATOR_PLACE = "<role that runs Profiles>"


def statements(kind: str, *, schema: str, database: str, user: str, creator: str = "") -> str:
    """Return the statements for one kind of warehouse, ready to run but for the password; '' where none are needed.

    `schema` is where Profiles writes, `user` whom we connect as, and `creator` the role that runs Profiles, whose
    future views are granted too; without it a place to fill in is left. DuckDB needs no grants: its files are opened
    read-only, and its check tries the snapshot folder.

    Raises:
        ValueError: there is no such kind of warehouse.

    """
    if kind == "duckdb":
        return ""
    if kind == "postgresql":
        return _postgresql(schema=schema, database=database, user=user, creator=creator)
    raise ValueError(f"there are no grants for {kind!r}")


def _postgresql(*, schema: str, database: str, user: str, creator: str) -> str:
    ours, theirs, role = _quoted(OUR_SCHEMA), _quoted(schema), _quoted(user)
    maker = _quoted(creator or CREATOR_PLACE)
    return "\n".join(
        (
            f"-- Run this in the database {_one_line(database)}, as its owner or a superuser.",
            f"CREATE USER {role} WITH PASSWORD '{PASSWORD_PLACE}';",
            f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {role};",
            f"CREATE SCHEMA IF NOT EXISTS {ours};",
            f"GRANT ALL ON SCHEMA {ours} TO {role};",
            f"GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA {ours} TO {role};",
            f"GRANT USAGE ON SCHEMA {theirs} TO {role};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {theirs} TO {role};",
            "-- Profiles makes its views anew with every run; these lines let us read the next ones too.",
            f"ALTER DEFAULT PRIVILEGES FOR USER {maker} IN SCHEMA {theirs} GRANT SELECT ON TABLES TO {role};",
        )
    )


def _quoted(name: str) -> str:
    """Quote an identifier of PostgreSQL; whatever stands in it stays a name."""
    return '"' + name.replace('"', '""') + '"'


def _one_line(text: str) -> str:
    """Return a name fit for a comment, which ends with its line."""
    return " ".join(text.split())
