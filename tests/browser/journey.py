"""What a person does on the pages, step by step, by the labels and roles that they see."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import expect

from config.demo_warehouse import EXAMPLE, OUTPUT_SCHEMA, PB_PROJECT
from tests.browser.visitor import PATIENCE, Visitor

TRIES = 5
RETRY_AFTER = 1.0  # what the API tells with a 503
ORGANISATION = "Northlight"
VIEWS = {
    "features_by_email": "email",
    "features_by_user_id": "user_id",
    "account_features_by_domain": "domain",
}


def set_up(visitor: Visitor, code: str) -> None:
    """Create the organisation with the one-time code that the server printed."""
    page = visitor.page
    visitor.goto("/")
    visitor.arrive("Set up Activation API")
    page.get_by_label("Set-up code").fill(code)
    page.get_by_label("Organisation").fill(ORGANISATION)
    page.get_by_label("Your name").fill("Ada Admin")
    page.get_by_label("Your e-mail").fill("ada@northlight.example")
    page.get_by_label(re.compile("^Password")).fill("coffee beans at noon")
    visitor.press("Create organisation")
    expect(page.get_by_role("heading", name=ORGANISATION, level=1)).to_be_visible()


@contextmanager
def in_an_empty_organisation(visitor: Visitor, name: str) -> Iterator[None]:
    """Create another organisation and land on its overview; go back to where other tests begin in the end."""
    visitor.goto("/")
    home = visitor.path
    visitor.goto(f"{home}settings/organisation/new/")
    visitor.page.get_by_label("Name").fill(name)
    visitor.press("Create organisation")
    try:
        visitor.arrive(name)
        yield
    finally:
        visitor.goto(home)


def connect_warehouse(visitor: Visitor, file: str) -> None:
    """Connect a DuckDB file and watch its check pass."""
    page = visitor.page
    visitor.navigate("Warehouses")
    visitor.arrive("Warehouses")
    visitor.press("Connect a warehouse")
    visitor.press("DuckDB")
    page.get_by_label("Name").fill("Northlight warehouse")
    page.get_by_label("File").fill(file)
    visitor.press("Connect and check")
    visitor.wait_for(page.get_by_role("link", name="create a project"))
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()


def create_project(visitor: Visitor, name: str) -> None:
    """Paste the `pb_project.yaml` and watch its views being found in the warehouse."""
    page = visitor.page
    visitor.navigate("Projects")
    visitor.arrive("Projects")
    visitor.press("New project")
    visitor.arrive("New project")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Output schema").fill(OUTPUT_SCHEMA)
    page.get_by_label("Text of pb_project.yaml").fill(PB_PROJECT)
    visitor.press("Create project")
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    visitor.wait_for(page.get_by_text("Passed", exact=True))
    for view, id_type in VIEWS.items():
        row = page.get_by_role("row", name=view)
        expect(row).to_contain_text(f"{OUTPUT_SCHEMA}.{view}")
        expect(row.get_by_role("cell", name=id_type, exact=True).first).to_be_visible()
    expect(page.get_by_text("Everything can be read")).to_be_visible()


def connect_redis(visitor: Visitor, address: str, password: str) -> None:
    """Turn the switch and fill in a new Redis; leaves off where its test begins."""
    page = visitor.page
    visitor.press("Activation API")
    switch = page.get_by_role("switch", name="Enable sync to Redis")
    expect(switch).not_to_be_checked()
    switch.click()
    visitor.arrive("Enable sync to Redis")
    if not page.get_by_label(re.compile("^Address")).is_visible():
        page.get_by_text("Connect a new Redis").click()
    page.get_by_label(re.compile("^Address")).fill(address)
    page.get_by_label(re.compile("^Password")).fill(password)
    visitor.press("Create")


def see_the_sync_on(visitor: Visitor) -> str:
    """Expect the switch to be on; returns the destination's id, as the page shows it to copy."""
    page = visitor.page
    visitor.wait_for(page.get_by_role("switch", name="Enable sync to Redis", checked=True))
    shown = page.get_by_role("definition").filter(has=page.get_by_text(re.compile(r"^\w{27}$"))).first
    [destination] = re.findall(r"\b\w{27}\b", shown.inner_text())
    return str(destination)


def generate_token(visitor: Visitor, name: str) -> str:
    """Generate a token that may call the API; returns the text that is shown this once."""
    page = visitor.page
    visitor.navigate("Settings")
    visitor.press("Personal access tokens")
    visitor.press("Generate new token")
    page.get_by_label("Token name").fill(name)
    page.get_by_label("Role").select_option("Admin")
    visitor.press("Generate")
    return shown_token(visitor)


def shown_token(visitor: Visitor) -> str:
    """Return the text of the token that the page shows this once."""
    page = visitor.page
    expect(page.get_by_text("It is not shown again")).to_be_visible()
    curl = page.get_by_label("curl", exact=True).inner_text()
    [token] = re.findall(r"Authorization: Bearer (\S+)'", curl)
    assert page.get_by_text(token, exact=True).is_visible()
    return str(token)


def call(visitor: Visitor, method: str, *, token: str, destination: str) -> tuple[int, dict[str, Any]]:
    """Ask the API about the person in the warehouse whom everybody knows; refused or not.

    As an application does, it asks again where it is told to: Redis has 100 ms to answer in, which it may need
    longer for on a machine that does much else.
    """
    for _ in range(TRIES):
        status, answer = _call(visitor, method, token=token, destination=destination)
        if status != 503:
            break
        time.sleep(RETRY_AFTER)
    return status, answer


def _call(visitor: Visitor, method: str, *, token: str, destination: str) -> tuple[int, dict[str, Any]]:
    entity, id_type, value = EXAMPLE
    body = {"entity": entity, "destinationId": destination, "id": {"type": id_type, "value": value}}
    request = urllib.request.Request(
        f"{visitor.url}/v2/activation",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)
