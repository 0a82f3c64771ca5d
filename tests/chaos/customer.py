"""The customer: a DuckDB file whose view changes in the ways that a Profiles project's does."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import duckdb

from tests.chaos.warehouse import CATALOG, Shelf

SCHEMA, VIEW, IGNORED = "profiles", "features_by_number", "ran_at"
FIRST_RUN = datetime.fromisoformat("2026-01-01T00:00:00")


@dataclass(frozen=True)
class Person:
    """A row. `number` is the id as it was entered: blank, missing, or there twice."""

    number: str | None
    score: int | None
    plan: str | None
    runs: int = 0

    @property
    def ran_at(self) -> datetime:
        """The time of the Profiles run that wrote the row, which says nothing about the person."""
        return FIRST_RUN + timedelta(seconds=1.5 * self.runs)


@dataclass(frozen=True)
class Shape:
    """How the view presents its rows."""

    id_column: str = "number"
    id_type: str = "VARCHAR"
    score_type: str = "INTEGER"
    plan_name: str = "plan"
    bonus: bool = False
    exists: bool = True


@dataclass
class Customer:
    """What the view shows; every change is written to the file at once. `synced` is what it showed some time ago."""

    shelf: Shelf
    people: list[Person] = field(default_factory=list)
    shape: Shape = field(default_factory=Shape)
    synced: list[Person] = field(default_factory=list)

    def take_back(self) -> None:
        """Show again whom the last successful sync found."""
        self.people = list(self.synced)
        self.write()

    def write(self) -> None:
        """Write the rows and the view."""
        rows = self.people
        with self.shelf.cursor() as cursor:
            cursor.execute(f"USE {CATALOG}")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            cursor.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{VIEW}")
            cursor.execute(
                f"CREATE OR REPLACE TABLE {SCHEMA}.people (number VARCHAR, score INTEGER, plan VARCHAR, ran_at TIMESTAMP)"
            )
            cursor.execute(
                f"INSERT INTO {SCHEMA}.people SELECT unnest(?::VARCHAR[]), unnest(?::INTEGER[]), unnest(?::VARCHAR[]), "
                "unnest(?::TIMESTAMP[])",
                [
                    [row.number for row in rows],
                    [row.score for row in rows],
                    [row.plan for row in rows],
                    [row.ran_at for row in rows],
                ],
            )
            if self.shape.exists:
                self._write_view(cursor)

    def _write_view(self, cursor: duckdb.DuckDBPyConnection) -> None:
        shape = self.shape
        bonus = ", score / 4 AS bonus" if shape.bonus else ""
        cursor.execute(
            f"CREATE VIEW {SCHEMA}.{VIEW} AS SELECT 'm-' || number AS user_main_id, "
            f"TRY_CAST(number AS {shape.id_type}) AS {shape.id_column}, CAST(score AS {shape.score_type}) AS score, "
            f'plan AS "{shape.plan_name}"{bonus}, ran_at AS {IGNORED} FROM {SCHEMA}.people'
        )

    def put(self, numbers: list[str], *, score: int | None, plan: str | None) -> None:
        """Insert these people, or change those that are there."""
        gone = set(numbers)
        self.people = [row for row in self.people if row.number not in gone]
        self.people += [Person(number, score, plan) for number in numbers]
        self.write()

    def remove(self, numbers: list[str]) -> None:
        """Let people leave the view."""
        self.people = [row for row in self.people if row.number not in set(numbers)]
        self.write()

    def replace(self, numbers: list[str], *, score: int | None) -> None:
        """Show only these people from now on."""
        self.people = [Person(number, score, None) for number in numbers]
        self.write()

    def repeat(self, numbers: list[str], *, score: int | None, differing: bool) -> None:
        """Show people twice, with one row or with two that differ."""
        known = {row.number: row for row in self.people}
        rows = [known.get(number, Person(number, score, None)) for number in numbers]
        again = [replace(row, score=(row.score or 0) + 1) if differing else row for row in rows]
        self.people = [row for row in self.people if row.number not in set(numbers)] + rows + again
        self.write()

    def spoil(self, number: str | None) -> None:
        """Show a row whose id is missing or blank."""
        self.people.append(Person(number, 0, "nobody"))
        self.write()

    def run_again(self) -> None:
        """Write every row anew: only the time of the run differs."""
        self.people = [replace(row, runs=row.runs + 1) for row in self.people]
        self.write()

    def reshape(self, **changes: object) -> None:
        """Change how the view presents its rows."""
        self.shape = replace(self.shape, **changes)  # type: ignore[arg-type]  # the rules' own names
        self.write()
