"""A project's settings as an Editor changes them: a new specification is looked at before it is stored."""

import pytest
from playwright.sync_api import expect

from config.demo_warehouse import PB_PROJECT
from tests.browser import journey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]
TEXT = "Text of pb_project.yaml"


@pytest.mark.parametrize("java_script", [True, False])
def test_what_a_new_specification_changes_is_seen_before_it_is_stored(installation, java_script):
    site = installation.site
    name = "Changed" if java_script else "Changed plainly"
    with installation.visit(java_script=java_script) as visitor:
        page = visitor.page
        visitor.goto("/")
        journey.create_project(visitor, name)
        journey.connect_redis(visitor, site.redis_address, site.redis_password)
        journey.see_the_sync_on(visitor)
        visitor.wait_for(page.get_by_role("status").get_by_text("In step"))
        visitor.press("Specification")
        start = PB_PROJECT.index("        - id: user_id\n")
        shorter = PB_PROJECT[:start] + PB_PROJECT[PB_PROJECT.index("\n\n", start) + 1 :]

        page.get_by_label(TEXT).fill(shorter.replace("id_types:", "id_typos:", 1))
        visitor.press("Show what it changes")
        expect(page.get_by_role("heading", name="What is wrong in pb_project.yaml")).to_be_visible()
        visitor.look()
        page.get_by_label("Upload pb_project.yaml").set_input_files(
            [{"name": "pb_project.yaml", "mimeType": "application/yaml", "buffer": shorter.encode()}]
        )
        visitor.press("Show what it changes")

        main = page.get_by_role("main")
        expect(page.get_by_role("listitem").filter(has_text="Feature view features_by_user_id")).to_contain_text(
            "Removed"
        )
        expect(page.get_by_role("listitem").filter(has_text="profiles in Redis")).to_contain_text("Retired")
        expect(main).to_contain_text("A retired source keeps serving")
        expect(page.get_by_role("group", name="Changed lines of pb_project.yaml")).to_contain_text("Removed:")
        visitor.look()
        visitor.press("Back to the text")
        expect(page.get_by_label(TEXT)).to_have_value(shorter)
        visitor.press("Show what it changes")
        visitor.press("Store and check")

        expect(page.get_by_text("Revision 2 is stored.")).to_be_visible()
        expect(page.get_by_role("row", name="features_by_user_id")).to_have_count(0)
        page.get_by_role("link", name="Settings").last.click()
        visitor.press("Activation API")
        retired = page.get_by_role("row", name="features_by_user_id").get_by_text("Retired")
        for _ in range(60):  # the next tick retires it, and a page with nothing under way does not ask for itself
            if retired.is_visible():
                break
            page.wait_for_timeout(500)
            page.reload()
        expect(retired).to_be_visible()
