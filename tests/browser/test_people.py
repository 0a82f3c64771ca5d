"""People as an Admin and they themselves see them: invited, given roles, removed; two factors, passkeys, passwords."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import CDPSession, expect

from tests.browser import journey
from tests.browser.conftest import Installation
from tests.browser.one_time_codes import code
from tests.browser.visitor import Visitor, visiting

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]

PASSWORD = "trains leave on time"
ADA, ADAS_PASSWORD = "ada@northlight.example", "coffee beans at noon"


@contextmanager
def stranger(installation: Installation, *, java_script: bool = True) -> Iterator[Visitor]:
    """Open a window in which nobody is logged in."""
    site = installation.site
    with visiting(site.browser, site.up.url, java_script=java_script) as visitor:
        yield visitor


def link_in_letter(installation: Installation, subject: str, to: str) -> str:
    """Wait for the letter and return the path of its link."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for log in Path(installation.site.letters).glob("*.log"):
            letter = log.read_text().replace("=\n", "")
            if f"Subject: {subject}" in letter and f"To: {to}" in letter:
                [link] = re.findall(r"http://localhost\S+", letter)
                log.unlink()
                return str(urlsplit(link).path)
        time.sleep(0.1)
    raise AssertionError(f"no letter {subject!r} to {to}")


def invite(
    installation: Installation, visitor: Visitor, email: str, role: str, organisation: str = journey.ORGANISATION
) -> str:
    """Invite somebody from the members' page; returns the path of the link in their letter."""
    page = visitor.page
    visitor.goto("/")
    visitor.navigate("Settings")
    visitor.press("Members")
    visitor.press("Invite a member")
    visitor.arrive("Invite a member")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label(role, exact=True).check()
    visitor.press("Invite")
    visitor.arrive("Members")
    expect(page.get_by_role("status")).to_contain_text(f"on its way to {email}")
    return link_in_letter(installation, f"Join {organisation} at Activation API", email)


def join(visitor: Visitor, link: str, name: str, organisation: str = journey.ORGANISATION) -> None:
    """Accept an invitation with a new account."""
    visitor.goto(link)
    visitor.arrive(f"Join {organisation}")
    visitor.page.get_by_label("Your name").fill(name)
    visitor.page.get_by_label("Password").fill(PASSWORD)
    visitor.press("Create account and join")
    visitor.arrive(organisation)


def log_in(visitor: Visitor, email: str, password: str = PASSWORD) -> None:
    """Fill in the log-in page."""
    visitor.goto("/account/login/")
    visitor.page.get_by_label("E-mail").fill(email)
    visitor.page.get_by_label("Password").fill(password)
    visitor.press("Log in")


def confirm(visitor: Visitor, password: str = PASSWORD) -> None:
    """Type the password again before something that matters."""
    visitor.arrive("Confirm it is you")
    visitor.page.get_by_label("Password").fill(password)
    visitor.press("Confirm")


def new_member(
    installation: Installation,
    visitor: Visitor,
    email: str,
    role: str = "Viewer",
    organisation: str = journey.ORGANISATION,
) -> None:
    """Invite somebody and let them join in a window of their own."""
    link = invite(installation, visitor, email, role, organisation)
    with stranger(installation) as newcomer:
        join(newcomer, link, email.partition("@")[0].title(), organisation)


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_member_is_invited_joins_gets_another_role_and_is_removed(installation, java_script):
    email = f"nina{int(java_script)}@northlight.example"
    with (
        installation.visit(java_script=java_script) as visitor,
        stranger(installation, java_script=java_script) as newcomer,
    ):
        join(newcomer, invite(installation, visitor, email, "Viewer"), "Nina")
        newcomer.navigate("Settings")
        newcomer.arrive("Your profile")
        expect(newcomer.page.get_by_role("main")).to_contain_text("Viewer")

        page = visitor.page
        visitor.goto("/o/northlight/settings/members/")
        page.get_by_role("link", name=f"Change {email}").click()
        visitor.arrive(email)
        page.get_by_label("Editor", exact=True).check()
        page.get_by_label("Sees personal data").check()
        visitor.press("Change role")
        expect(page.get_by_role("row", name=email)).to_contain_text("Editor")
        expect(page.get_by_role("row", name=email)).to_contain_text("sees personal data")
        newcomer.goto("/o/northlight/settings/profile/account/")
        expect(newcomer.page.get_by_role("main")).to_contain_text("Editor, sees personal data")

        page.get_by_role("link", name=f"Change {email}").click()
        visitor.press("Remove")
        visitor.arrive(f"Remove {email}?")
        visitor.press("Yes, remove")
        expect(page.get_by_role("row", name=email)).to_have_count(0)
        newcomer.goto("/")
        newcomer.arrive("You belong to no organisation")


def test_an_invitation_is_withdrawn_and_its_link_says_so(installation):
    with installation.visit() as visitor, stranger(installation) as newcomer:
        link = invite(installation, visitor, "otto@northlight.example", "Editor")
        visitor.page.get_by_role("button", name="Withdraw the invitation of otto@northlight.example").click()
        expect(visitor.page.get_by_role("status")).to_contain_text("is withdrawn")
        newcomer.goto(link)
        newcomer.arrive("This link is closed")
        newcomer.problems.clear()  # 410 is what this link is answered


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_two_factor_log_in_with_an_app_and_a_recovery_code(installation, java_script):
    email = f"tess{int(java_script)}@northlight.example"
    with installation.visit() as visitor:
        new_member(installation, visitor, email)
    with stranger(installation, java_script=java_script) as person:
        page = person.page
        log_in(person, email)
        person.navigate("Settings")
        person.press("Security")
        person.arrive("Security")
        person.press("Set up an app")
        confirm(person)
        person.arrive("Set up an authenticator app")
        secret = page.locator(".copy code").inner_text()
        page.get_by_label("Code").fill(code(secret))
        person.press("Turn on")
        person.arrive("Recovery codes")
        recovery = page.get_by_role("listitem").locator("code").all_inner_texts()
        assert len(recovery) == 10
        person.press("Done")
        person.arrive("Security")
        expect(page.get_by_text("Two-factor log-in is on")).to_be_visible()

        for given in (recovery[0], None):
            page.get_by_role("button", name="Log out", exact=True).first.click()
            log_in(person, email)
            person.arrive("Second step")
            page.get_by_label("Code").fill("12")
            person.press("Log in")
            expect(page.get_by_role("alert")).to_contain_text("This code is not right")
            person.look()
            page.get_by_label("Code").fill(given or code(secret))
            person.press("Log in")
            person.arrive("Northlight")

        person.goto("/account/security/")
        person.press("Remove the authenticator app")
        confirm(person)
        person.arrive("Remove the authenticator app?")
        person.press("Yes, remove")
        expect(page.get_by_text("Two-factor log-in is off")).to_be_visible()
        page.get_by_role("button", name="Log out", exact=True).first.click()
        log_in(person, email)
        person.arrive("Northlight")


def authenticator(visitor: Visitor) -> CDPSession:
    """Give the window a device that keeps passkeys and whose finger is always there."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session


def add_passkey(person: Visitor, name: str) -> list[str]:
    """Add a passkey from the security page; returns the recovery codes that come with it."""
    page = person.page
    person.goto("/account/security/")
    person.press("Add a passkey")
    confirm(person)
    person.arrive("Add a passkey")
    page.get_by_label("Name").fill(name)
    person.press("Add a passkey")
    person.arrive("Recovery codes")
    codes = page.get_by_role("listitem").locator("code").all_inner_texts()
    person.press("Done")
    expect(page.get_by_role("row", name=name)).to_contain_text("by itself")
    return codes


def test_a_passkey_is_added_opens_the_account_and_is_removed(installation):
    email = "paul@northlight.example"
    with installation.visit() as visitor:
        new_member(installation, visitor, email)
    with stranger(installation) as person:
        page = person.page
        device = authenticator(person)
        log_in(person, email)
        recovery = add_passkey(person, "Laptop")
        person.look()

        page.get_by_role("button", name="Log out", exact=True).first.click()
        person.goto("/account/login/?next=/account/security/")
        page.get_by_role("button", name="Log in with a passkey").click()
        person.arrive("Security")

        page.get_by_role("button", name="Log out", exact=True).first.click()
        log_in(person, email)
        person.arrive("Second step")
        page.get_by_role("button", name="Use a passkey").click()
        person.arrive("Northlight")

        device.send("WebAuthn.disable")
        authenticator(person)
        page.get_by_role("button", name="Log out", exact=True).first.click()
        log_in(person, email)
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_text("The browser was not allowed to use a passkey")).to_be_visible()
        person.look()

        page.get_by_label("Code").fill(recovery[0])
        person.press("Log in")
        person.arrive("Northlight")
        person.goto("/account/security/")
        person.press("Rename Laptop")
        confirm(person)
        person.arrive("Rename the passkey")
        page.get_by_label("Name").fill("Old laptop")
        person.press("Save")
        person.press("Remove Old laptop")
        person.arrive("Remove the passkey Old laptop?")
        person.press("Yes, remove")
        expect(page.get_by_text("Two-factor log-in is off")).to_be_visible()


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_forgotten_password_is_set_anew_from_the_letter(installation, java_script):
    email = f"fred{int(java_script)}@northlight.example"
    with installation.visit() as visitor:
        new_member(installation, visitor, email)
    with stranger(installation, java_script=java_script) as person:
        page = person.page
        person.goto("/account/login/")
        person.press("Forgotten your password?")
        person.arrive("Forgotten your password?")
        page.get_by_label("E-mail").fill(email)
        person.press("Send the link")
        person.arrive("Check your e-mail")
        person.goto(link_in_letter(installation, "Choose a new password", email))
        person.arrive("Choose a new password")
        page.get_by_label("New password", exact=True).fill("short")
        page.get_by_label("New password again").fill("short")
        person.press("Set password")
        expect(page.get_by_role("alert")).to_contain_text("too short")
        person.look()
        page.get_by_label("New password", exact=True).fill("a kettle of fish")
        page.get_by_label("New password again").fill("a kettle of fish")
        person.press("Set password")
        person.arrive("Your new password is set")
        log_in(person, email, "a kettle of fish")
        person.arrive("Northlight")


def test_a_new_address_is_confirmed_from_the_letter(installation):
    with installation.visit() as visitor:
        new_member(installation, visitor, "mary@northlight.example")
    with stranger(installation) as person:
        page = person.page
        log_in(person, "mary@northlight.example")
        person.navigate("Settings")
        person.press("Change e-mail")
        confirm(person)
        person.arrive("Change your e-mail")
        page.get_by_label("New e-mail").fill("marie@northlight.example")
        person.press("Send the link")
        expect(page.get_by_role("status")).to_contain_text("We sent a link to marie@northlight.example")
        person.goto(link_in_letter(installation, "Confirm your new e-mail address", "marie@northlight.example"))
        person.arrive("Log in as marie@northlight.example?")
        person.press("Yes, change it")
        expect(page.get_by_role("main")).to_contain_text("You log in as marie@northlight.example from now on.")


def test_somebody_invited_comes_by_single_sign_on(installation):
    installation.site.provider.claims.update(email="sam@northlight.example", name="Sam", sub="sam")
    with installation.visit() as visitor, stranger(installation) as person:
        person.goto("/account/login/")
        person.press("Continue with Northlight ID")
        person.arrive("Log in")
        expect(person.page.get_by_role("main")).to_contain_text("Nobody with your e-mail address is known here.")
        person.goto(invite(installation, visitor, "sam@northlight.example", "Viewer"))
        person.press("Continue with Northlight ID")
        person.arrive("Join Northlight")
        person.press("Join")
        person.arrive("Northlight")
        person.goto("/account/security/")
        expect(person.page.get_by_text("You have none: you log in with Northlight ID.")).to_be_visible()
        person.look()


@pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_person_changes_between_organisations(installation, java_script):
    name = f"Southlight {int(java_script)}"
    with installation.visit(java_script=java_script) as visitor:
        page = visitor.page
        visitor.goto("/o/northlight/settings/organisation/")
        visitor.arrive("Organisation")
        visitor.press("Create another organisation")
        visitor.arrive("New organisation")
        page.get_by_label("Name").fill(name)
        visitor.press("Create organisation")
        visitor.arrive(name)
        switcher = page.locator(".sidebar .switcher")
        switcher.get_by_text("Change organisation").locator("..").click()
        switcher.get_by_role("link", name="Northlight", exact=True).click()
        visitor.arrive("Northlight")
        visitor.goto("/")
        visitor.arrive("Northlight")


def test_the_audit_log_is_searched_and_taken_away(installation):
    with installation.visit() as visitor:
        page = visitor.page
        visitor.goto("/")
        visitor.navigate("Audit log")
        visitor.arrive("Audit log")
        page.get_by_text("Search", exact=True).first.click()
        page.get_by_label("Action").fill("organisation created")
        visitor.look()
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("row")).to_have_count(2)
        with page.expect_download() as download:
            visitor.press("CSV")
        assert "organisation_created" in download.value.path().read_text()
        page.get_by_label("Target").fill("nothing like it")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
        visitor.look()


def test_a_lock_out_is_shown_to_an_admin_who_releases_it(installation):
    email = "lola@northlight.example"
    with installation.visit() as visitor, stranger(installation) as person:
        new_member(installation, visitor, email)
        for _ in range(6):
            log_in(person, email, "not it")
        expect(person.page.get_by_role("alert")).to_contain_text("this address is locked out for")
        person.look()
        visitor.goto("/o/northlight/settings/members/")
        visitor.page.get_by_role("link", name=f"Change {email}").click()
        visitor.arrive(email)
        visitor.press("Release now")
        expect(visitor.page.get_by_role("status")).to_contain_text("can log in again")
        log_in(person, email)
        person.arrive("Northlight")
