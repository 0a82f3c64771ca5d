"""Where projects serve their main views, a main id is one more id of a person, and means nothing to other projects."""

import duckdb

from activation.models import Activation
from tests.activation.deletions.conftest import PEOPLE, Town, keys_of, new_source
from tests.activation.deletions.test_cascades import with_schema

MAIN = "user_main_id"


def serve_main_view(town: Town, main_ids: list[str], *, activation: Activation, schema: str = "profiles") -> None:
    """Put a main view into a schema of the warehouse, and add its source to a project."""
    with duckdb.connect(town.world.file) as connection:
        connection.execute(f"CREATE TABLE {schema}.by_{MAIN} ({MAIN} VARCHAR, score INT)")
        connection.executemany(f"INSERT INTO {schema}.by_{MAIN} VALUES (?, 1)", [[each] for each in main_ids])
    town.sources[f"{schema}_main"] = new_source(activation, MAIN, view=f"{schema}_main_view")


def test_the_main_id_of_a_person_goes_with_the_others_and_nobody_elses_does(town: Town):
    serve_main_view(town, ["m1", "m2"], activation=Activation.objects.get())
    town.sync()
    answer = town.delete(("email", "ada@x"))
    town.work()
    assert town.served() == keys_of(PEOPLE, "m2", "m3") | {f"{MAIN}:m2"}
    assert town.receipt(answer)["idsFound"] == 4


def test_a_main_id_names_its_person_also_where_the_main_view_leaves_the_row_out(town: Town):
    serve_main_view(town, ["m2"], activation=Activation.objects.get())
    town.sync()
    town.delete((MAIN, "m1"))
    town.work()
    assert town.served() == keys_of(PEOPLE, "m2", "m3") | {f"{MAIN}:m2"}


def test_a_main_id_that_was_found_is_not_asked_of_another_project_which_may_know_somebody_else_by_it(town: Town):
    mine = Activation.objects.get()
    others = town.another_project("crm_id")
    with_schema(town, others, {"m1": {"crm_id": ["somebody else"]}})
    town.sources |= others
    serve_main_view(town, ["m1"], activation=mine)
    serve_main_view(town, ["m9"], activation=others["crm_id"].activation, schema="others")
    town.sync()

    town.delete(("email", "ada@x"))
    town.work()

    assert town.served() == keys_of(PEOPLE, "m2", "m3") | {f"{MAIN}:m9", "crm_id:somebody else"}

    town.delete((MAIN, "m1"))
    town.work()
    assert "crm_id:somebody else" not in town.served(), "a caller who names it means it"
