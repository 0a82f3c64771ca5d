"""Turning the sync on where something is wrong: each failure is told with its cure, and nothing is typed twice."""

import re
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Locator, expect

from config import demo_warehouse
from config.demo_warehouse import OUTPUT_SCHEMA, PB_PROJECT
from config.embedded import free_port
from tests.browser import journey
from tests.browser.conftest import FILE
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

ADDRESS, PASSWORD, NAME = re.compile("^Address"), re.compile("^Password"), re.compile("^Name")
WITHOUT_VIEWS = re.sub(r"    feature_views:\n(      .*\n)+", "", PB_PROJECT)


def expect_failed(visitor: Visitor, step: str, message: str, cure: str) -> None:
    """Expect the connection test to have failed at a step, told with its cure, and nothing to be lost."""
    page = visitor.page
    failed = page.get_by_role("listitem").filter(has_text="failed")
    told = page.get_by_role("region", name="The connection test failed")
    # Not for the step: the page of a test under way shows it failed before the test has ended.
    visitor.wait_for(told)
    expect(failed).to_have_count(1)
    expect(failed.filter(has_text=step).get_by_text(message)).to_be_visible()
    expect(failed).to_contain_text(cure)
    expect(told).to_contain_text("Nothing was saved.")
    expect(page.get_by_label(NAME)).to_have_value("Kept all along")
    expect(page.get_by_label(PASSWORD).first).to_have_value("")
    visitor.look()


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_each_failure_of_a_connection_is_told_and_corrected_without_typing_anew(installation, java_script):
    site, name = installation.site, f"Corrected {int(java_script)}"
    with (
        installation.visit(java_script=java_script) as visitor,
        # Connections are tested so often in a few minutes, and no more, in one organisation.
        journey.in_an_empty_organisation(visitor, name),
    ):
        journey.connect_warehouse(visitor, FILE)
        journey.create_project(visitor, name)
        visitor.press("Activation API")
        visitor.page.get_by_role("switch", name="Enable sync to Redis").click()
        visitor.arrive("Enable sync to Redis")
        visitor.page.get_by_text("More settings").click()
        visitor.page.get_by_label(NAME).fill("Kept all along")
        get_the_address_wrong(visitor, site.redis_address, site.redis_password)
        get_the_modes_wrong(visitor, site.redis_address, site.redis_password)
        journey.see_the_sync_on(visitor)
        expect(visitor.page.get_by_role("link", name="Kept all along")).to_be_visible()


def get_the_address_wrong(visitor: Visitor, address: str, password: str) -> None:
    """Type what is no address, then one where nothing listens, then the right one: that wants the password anew."""
    page, closed = visitor.page, f"127.0.0.1:{free_port()}"
    field = page.get_by_label(ADDRESS)
    field.fill("redis.example:port")
    page.get_by_label(PASSWORD).first.fill(password)
    visitor.press("Create")
    expect(page.get_by_role("alert")).to_contain_text("Address")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("redis.example:port")
    expect(page.get_by_label(NAME)).to_have_value("Kept all along")
    visitor.look()

    field.fill(closed)
    page.get_by_label(PASSWORD).first.fill(password)
    visitor.press("Create")
    expect_failed(visitor, "TCP", closed, "Check the address")
    expect(field).to_have_value(closed)

    field.fill(address)
    visitor.press("Create")
    expect(page.get_by_role("alert")).to_contain_text("Enter the password again, because you changed the address.")
    expect(field).to_have_value(address)
    visitor.look()
    visitor.problems.clear()  # 422 is what a form that is refused is answered


def get_the_modes_wrong(visitor: Visitor, address: str, password: str) -> None:
    """Type the password this once, and choose TLS, then a cluster, where there is neither; then correct that."""
    page = visitor.page
    secure, cluster = page.get_by_label("Secure", exact=True), page.get_by_label("Cluster Mode")
    page.get_by_label(PASSWORD).first.fill(password)
    secure.check()
    visitor.press("Create")
    expect_failed(visitor, "TLS", "does not speak TLS on this port", "Turn Secure off")
    expect(secure).to_be_checked()

    secure.uncheck()
    cluster.check()
    visitor.press("Create")
    expect_failed(visitor, "Cluster and role", "This Redis is not a cluster.", "Turn Cluster Mode off.")
    expect(cluster).to_be_checked()
    expect(page.get_by_label(ADDRESS)).to_have_value(address)

    cluster.uncheck()
    visitor.press("Create")


def point(visitor: Visitor, name: str, word: str) -> Locator:
    """Wait until a point that must be met first is told to be there or missing; returns it."""
    item = visitor.page.get_by_role("listitem").filter(has_text=name)
    visitor.wait_for(item.get_by_text(word, exact=True).first)
    return item


def spoil(file: Path) -> None:
    """Take the runs out of a warehouse's registry, one view away, and what another one reads."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"SET search_path = '{OUTPUT_SCHEMA}'")
        connection.execute("DELETE FROM MATERIAL_REGISTRY_4")
        connection.execute("DROP VIEW features_by_user_id")
        [(table,)] = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'Material_features_by_email_%'"
        ).fetchall()
        connection.execute(f"DROP TABLE {table}")


def test_what_is_missing_before_it_can_be_turned_on_is_told_and_found_once_it_is_there(installation, visitor):
    site, page = installation.site, visitor.page
    file = site.up.folder / "warehouses" / "bare.duckdb"
    demo_warehouse.build(file, people=50)
    spoil(file)
    with journey.in_an_empty_organisation(visitor, "Unready"):
        journey.connect_warehouse(visitor, file.name)
        settings = create_without_views(visitor, "Unready")
        see_what_is_missing(visitor)
        visitor.press("Change the specification")
        page.get_by_label("Text of pb_project.yaml").fill(PB_PROJECT)
        visitor.press("Show what it changes")
        visitor.press("Store and check")
        expect(page.get_by_text("Revision 2 is stored.")).to_be_visible()
        visitor.goto(settings)
        see_what_cannot_be_read(visitor)

        demo_warehouse.build(file, people=50)
        visitor.press("Check now")
        for name in ("A successful Profiles run", "Every view found in the warehouse", "A warehouse that can be read"):
            point(visitor, name, "there")
        expect(page.get_by_role("heading", name="Everything is there")).to_be_visible()
        journey.connect_redis(visitor, site.redis_address, site.redis_password)
        journey.see_the_sync_on(visitor)


def create_without_views(visitor: Visitor, name: str) -> str:
    """Create a project whose file lists no ids to serve; returns the path of its Activation API page, open then."""
    page = visitor.page
    visitor.press("create a project")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Output schema").fill(OUTPUT_SCHEMA)
    page.get_by_label("Text of pb_project.yaml").fill(WITHOUT_VIEWS)
    visitor.press("Create project")
    expect(page.get_by_role("heading", name="No ids are listed to serve")).to_be_visible()
    visitor.wait_for(page.get_by_text("Passed", exact=True))
    visitor.look()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings").click()
    visitor.press("Activation API")
    expect(page.get_by_role("heading", name="Before you can turn it on")).to_be_visible()
    return visitor.path


def see_what_is_missing(visitor: Visitor) -> None:
    """Expect no run and no feature views, each with its cure, and a switch that cannot be turned."""
    page = visitor.page
    run = point(visitor, "A successful Profiles run", "missing")
    expect(run).to_contain_text("No finished run was found in profiles yet.")
    expect(run.get_by_role("link", name="Go to History")).to_be_visible()
    views = point(visitor, "Feature views in pb_project.yaml", "missing")
    expect(views).to_contain_text("lists no ids to serve for user and account")
    expect(views).to_contain_text("- id: email")
    expect(page.get_by_role("switch", name="Enable sync to Redis")).to_be_disabled()
    visitor.look()


def see_what_cannot_be_read(visitor: Visitor) -> None:
    """Expect a view that is not there and one that cannot be read, and a switch that cannot be turned."""
    page = visitor.page
    expect(point(visitor, "Feature views in pb_project.yaml", "there")).to_contain_text("user: email, user_id")
    lost = point(visitor, "Every view found in the warehouse", "missing")
    expect(lost).to_contain_text("features_by_user_id: not found in profiles.")
    expect(lost.get_by_role("link", name="Choose where features_by_user_id is")).to_be_visible()
    unread = point(visitor, "A warehouse that can be read", "missing")
    expect(unread).to_contain_text("features_by_email")
    unread.get_by_text("Every step of the check").click()
    expect(page.get_by_role("switch", name="Enable sync to Redis")).to_be_disabled()
    visitor.look()
