"""A PostgreSQL warehouse whose user lacks every grant: told on the page, with the SQL that grants them, which is run."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import expect
from psycopg import sql

from tests.browser import journey
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

USER = "rudder_of_a_journey"
PROJECT = """\
name: shop
schema_version: 88
connection: shop_warehouse
model_folders: [models]
entities:
  - name: user
    id_stitcher: models/user_id_stitcher
    id_types: [email]
    feature_views:
      using_ids:
        - id: email
          name: features_by_email
id_types:
  - name: email
"""
CUSTOMERS = """
CREATE SCHEMA profiles;
CREATE TABLE profiles.material_registry_4 (
    seq_no bigint, model_name text, begin_ts timestamp, end_ts timestamp, creation_ts timestamp, metadata jsonb
);
INSERT INTO profiles.material_registry_4
    VALUES (1, 'features_by_email', now(), now(), now(), '{"complete": {"status": 2}}');
CREATE VIEW profiles.features_by_email AS SELECT 'jane@example.com' AS email, 'pro' AS plan;
"""


@pytest.fixture
def password(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """Build a warehouse and a user who may log in and no more; yields the user's password."""
    password = secrets.token_urlsafe(12)
    with closing(postgres.connect(postgres_database)) as owner:
        owner.execute(CUSTOMERS)
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(USER), sql.Literal(password)))
        yield password
        owner.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(USER)))


def run_as_owner(postgres: PostgresServer, database: str, text: str) -> None:
    """Run the SQL of the page as somebody does whose user exists already: all but its making, the places filled in."""
    rest = "\n".join(line for line in text.splitlines() if not line.startswith("CREATE USER"))
    with closing(postgres.connect(database)) as owner:
        owner.execute(rest.replace("<role that runs Profiles>", postgres.user))


def test_a_missing_grant_is_named_and_given_by_the_sql_of_the_page(
    installation, visitor, postgres, postgres_database, password
):
    page = visitor.page
    with journey.in_an_empty_organisation(visitor, "Ungranted"):
        visitor.navigate("Warehouses")
        visitor.press("Connect a warehouse")
        visitor.press("PostgreSQL")
        visitor.arrive("Connect PostgreSQL")
        fields = {"Name": "Shop", "Host": "127.0.0.1", "Port": str(postgres.port), "Database": postgres_database}
        for label, value in {**fields, "User": USER, "Password": password}.items():
            page.get_by_label(label).fill(value)
        page.get_by_label("TLS").select_option("disable")
        visitor.press("Connect and check")
        visitor.wait_for(page.get_by_text("Failed", exact=True))
        visitor.look()

        visitor.navigate("Projects")
        visitor.press("New project")
        page.get_by_label("Output schema").fill("profiles")
        page.get_by_label("Text of pb_project.yaml").fill(PROJECT)
        visitor.press("Create project")
        visitor.wait_for(page.get_by_role("heading", name="Grants"))
        page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings").click()
        visitor.press("Activation API")
        point = page.get_by_role("listitem").filter(has_text="The RudderStack schema and its grants")
        visitor.wait_for(point.get_by_text("missing", exact=True))
        expect(point).to_contain_text("_rudderstack")
        expect(page.get_by_role("switch", name="Enable sync to Redis")).to_be_disabled()
        point.get_by_text("Show the SQL").click()
        visitor.look()

        run_as_owner(postgres, postgres_database, point.get_by_label("SQL", exact=True).inner_text())
        visitor.press("Check now")
        visitor.wait_for(page.get_by_role("heading", name="Everything is there"))
        expect(page.get_by_role("switch", name="Enable sync to Redis")).to_be_enabled()
        visitor.look()
