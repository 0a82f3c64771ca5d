"""The pages of projects and warehouses, walked as a browser does."""

import re
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from projects import access, placements, projects, runs
from projects.models import ProfilesRun, Project, Warehouse, WarehouseCheck
from tests.cast import Member
from tests.projects.conftest import SPECIFICATION, Catalogue

NEW = {"name": "Shop", "output_schema": "profiles", "text": SPECIFICATION}
POSTGRESQL = {
    "name": "Prod",
    "host": "db.example.com",
    "port": "5432",
    "database": "shop",
    "user": "rudder",
    "password": "pass" + "-word-1",
    "sslmode": "require",
}


def text_of(response: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def where(page: str, project: Project) -> str:
    return f"/o/acme/{page}".format(project=project.slug, warehouse=project.warehouse.public_id)


VIEWED = [
    "projects/",
    "projects/{project}/entities/",
    "projects/{project}/history/",
    "projects/{project}/settings/",
    "projects/{project}/settings/specification/",
    "warehouses/",
    "warehouses/{warehouse}/",
]
EDITED = ["projects/new/", "projects/{project}/entities/placement/?view=features_by_email"]
ADMINISTERED = [
    "projects/{project}/settings/delete/",
    "warehouses/new/",
    "warehouses/new/duckdb/",
    "warehouses/new/postgresql/",
    "warehouses/{warehouse}/edit/",
    "warehouses/{warehouse}/delete/",
]


@pytest.mark.parametrize("page", VIEWED + EDITED + ADMINISTERED)
def test_a_page_opens_for_members_and_is_404_for_strangers(
    admin: Member, outsider: Member, stranger: Client, project: Project, page: str
) -> None:
    url = where(page, project)

    assert admin.client.get(url).status_code == 200
    assert outsider.client.get(url).status_code == 404
    assert outsider.client.get(url.replace("/acme/", "/other/")).status_code in {200, 404}
    assert stranger.get(url).status_code == 302


@pytest.mark.parametrize(("pages", "weakest"), [(VIEWED, "viewer"), (EDITED, "editor"), (ADMINISTERED, "admin")])
def test_a_page_opens_for_its_weakest_role_only(
    admin: Member, editor: Member, viewer: Member, project: Project, pages: list[str], weakest: str
) -> None:
    order = ["viewer", "editor", "admin"]
    for name, member in (("viewer", viewer), ("editor", editor), ("admin", admin)):
        expected = 200 if order.index(name) >= order.index(weakest) else 403
        answers = [member.client.get(where(page, project)).status_code for page in pages]
        assert answers == [expected] * len(pages), name


@pytest.mark.parametrize(
    ("page", "weakest"),
    [
        ("projects/{project}/check/", "editor"),
        ("projects/{project}/history/report/", "editor"),
        ("projects/{project}/settings/", "editor"),
        ("projects/{project}/settings/specification/", "editor"),
        ("projects/new/", "editor"),
        ("warehouses/{warehouse}/check/", "admin"),
        ("warehouses/{warehouse}/edit/", "admin"),
        ("warehouses/{warehouse}/delete/", "admin"),
        ("projects/{project}/settings/delete/", "admin"),
    ],
)
def test_a_post_of_a_weaker_role_is_refused(
    admin: Member, editor: Member, viewer: Member, project: Project, page: str, weakest: str
) -> None:
    refused, allowed = (viewer, editor) if weakest == "editor" else (editor, admin)

    assert refused.client.post(where(page, project)).status_code == 403
    assert allowed.client.post(where(page, project)).status_code in {200, 303}


def test_another_organisations_things_are_404_under_ones_own_address(outsider: Member, project: Project) -> None:
    for page in VIEWED[1:5] + VIEWED[6:]:
        assert outsider.client.get(where(page, project).replace("/acme/", "/other/")).status_code == 404


# Creating a project


def test_a_project_is_created_from_pasted_text_and_checked(editor: Member, warehouse: Warehouse) -> None:
    answer = editor.client.post("/o/acme/projects/new/", {**NEW, "warehouse": warehouse.pk})

    assert (answer.status_code, answer["Location"]) == (303, "/o/acme/projects/shop/entities/")
    assert WarehouseCheck.objects.get().project == Project.objects.get(slug="shop")
    page = text_of(editor.client.get(answer["Location"]))
    assert "features_by_email" in page
    assert "The warehouse is being checked" in page


def test_a_project_is_created_from_an_uploaded_file(editor: Member, warehouse: Warehouse) -> None:
    upload = SimpleUploadedFile("pb_project.yaml", SPECIFICATION.replace("\n", "\r\n").encode("utf-8-sig"))
    editor.client.post("/o/acme/projects/new/", {**NEW, "text": "", "file": upload, "warehouse": warehouse.pk})

    assert Project.objects.get().specification_text == SPECIFICATION


def test_problems_are_shown_with_their_lines_and_the_upload_stays_in_the_box(
    editor: Member, warehouse: Warehouse
) -> None:
    broken = SPECIFICATION.replace("- id: salesforce_id", "- id: phone")
    upload = SimpleUploadedFile("pb_project.yaml", broken.encode())
    answer = editor.client.post("/o/acme/projects/new/", {**NEW, "text": "", "file": upload, "warehouse": warehouse.pk})

    page = answer.content.decode()
    assert "Line 12, column 11:" in page
    assert "   12          - id: phone\n                 ^" in unescape(page)
    assert 'name="text"' in page
    assert unescape(page).count("- id: phone") == 2
    assert not Project.objects.exists()


@pytest.mark.parametrize(
    ("upload", "said"),
    [(b"\xff\xfe", "not UTF-8"), (b"a" * 600_000, "larger than 512 KiB")],
)
def test_a_file_that_cannot_be_text_is_refused(editor: Member, warehouse: Warehouse, upload: bytes, said: str) -> None:
    file = SimpleUploadedFile("pb_project.yaml", upload)
    answer = editor.client.post("/o/acme/projects/new/", {**NEW, "file": file, "warehouse": warehouse.pk})

    assert said in text_of(answer)
    assert not Project.objects.exists()


def test_nothing_at_all_is_refused(editor: Member, warehouse: Warehouse) -> None:
    answer = editor.client.post("/o/acme/projects/new/", {**NEW, "text": "", "warehouse": warehouse.pk})

    assert "Paste the text" in text_of(answer)


def test_another_organisations_warehouse_cannot_be_chosen(outsider: Member, warehouse: Warehouse) -> None:
    answer = outsider.client.post("/o/other/projects/new/", {**NEW, "warehouse": warehouse.pk})

    assert answer.status_code == 200
    assert not Project.objects.exists()


def test_a_project_without_ids_shows_the_yaml_to_add(editor: Member, warehouse: Warehouse) -> None:
    text = SPECIFICATION[: SPECIFICATION.index("    feature_views")]
    answer = editor.client.post("/o/acme/projects/new/", {**NEW, "text": text, "warehouse": warehouse.pk})

    page = unescape(editor.client.get(answer["Location"]).content.decode())
    assert "feature_views:\n      using_ids:\n        - id: email\n" in page


# The tabs


def test_a_person_chooses_where_a_view_is(editor: Member, project: Project) -> None:
    placements.look_up(project, Catalogue({"profiles": {"odd": ["mail"]}}), now=timezone.now())  # type: ignore[arg-type]  # the part of the port it asks
    url = "/o/acme/projects/shop/entities/placement/?view=features_by_email"
    assert "odd" in text_of(editor.client.get(url))

    answer = editor.client.post(url, {"relation": "odd", "id_column": ""})

    assert answer.status_code == 303
    assert projects.served_views(Project.objects.get())[0].relation is not None
    assert WarehouseCheck.objects.get().project == project
    assert editor.client.post(url, {"relation": "forged", "id_column": ""}).status_code == 200
    assert editor.client.get(url.replace("features_by_email", "none")).status_code == 404


def test_a_renamed_project_redirects_from_its_former_address(editor: Member, project: Project) -> None:
    values = {"name": "Store", "warehouse": project.warehouse.pk, "output_schema": "profiles"}
    answer = editor.client.post("/o/acme/projects/shop/settings/", values)

    assert answer["Location"] == "/o/acme/projects/store/settings/"
    assert editor.client.get("/o/acme/projects/shop/history/")["Location"] == "/o/acme/projects/store/history/"


def test_a_taken_name_leaves_the_project_as_it_was(editor: Member, project: Project) -> None:
    editor.client.post("/o/acme/projects/new/", {**NEW, "name": "Other", "warehouse": project.warehouse.pk})
    values = {"name": "Other", "warehouse": project.warehouse.pk, "output_schema": "elsewhere"}
    answer = editor.client.post("/o/acme/projects/shop/settings/", values)

    assert "already one called Other" in text_of(answer)
    assert access.project_for(editor.actor, "shop").output_schema == "profiles"


def test_a_specification_is_replaced_once_what_it_changes_was_shown(editor: Member, project: Project) -> None:
    url = "/o/acme/projects/shop/settings/specification/"
    changed = SPECIFICATION.replace("features_by_email", "by_email").replace("\n", "\r\n")

    shown = editor.client.post(url, {"text": changed, "revision": "1"})

    assert (shown.status_code, Project.objects.get().specification_revision) == (200, 1)
    assert "Added Feature view by_email of user by email" in text_of(shown)
    assert "Removed Feature view features_by_email of user by email" in text_of(shown)
    assert "Removed: name: features_by_email" in text_of(shown)
    assert "Nothing is stored yet. Revision 1 holds" in text_of(shown)

    answer = editor.client.post(url, {"text": changed, "revision": "1", "step": "store"})

    assert (answer.status_code, answer["Location"]) == (303, "/o/acme/projects/shop/entities/")
    assert Project.objects.get().specification_revision == 2
    assert Project.objects.get().specification_text == changed.replace("\r\n", "\n")
    assert "Revision 2 is stored" in text_of(editor.client.get(answer["Location"]))


def test_nothing_typed_is_lost_on_the_way_to_a_new_specification(editor: Member, project: Project) -> None:
    url = "/o/acme/projects/shop/settings/specification/"
    typed = SPECIFICATION.replace("features_by_email", "by_email")

    def box(answer: Any) -> str:
        return unescape(re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", answer.content.decode(), re.DOTALL)[0])

    assert box(editor.client.post(url, {"text": typed, "revision": "1"})) == typed
    assert box(editor.client.post(url, {"text": typed, "revision": "1", "step": "edit"})) == typed
    wrong = editor.client.post(url, {"text": "name: x", "revision": "1"})
    assert "listed above" in text_of(wrong)
    assert box(wrong) == "name: x"


@pytest.mark.parametrize("step", ["", "store"])
def test_a_specification_that_somebody_changed_meanwhile_is_compared_anew(
    editor: Member, project: Project, step: str
) -> None:
    url = "/o/acme/projects/shop/settings/specification/"
    meanwhile, typed = (SPECIFICATION.replace("features_by_email", name) for name in ("theirs", "mine"))
    projects.edit_specification(project, text=meanwhile, revision=1, by=editor.actor, now=timezone.now())

    answer = editor.client.post(url, {"text": typed, "revision": "1", "step": step})

    assert "Somebody changed this project meanwhile" in text_of(answer)
    assert "name: mine" in answer.content.decode()
    assert 'name="revision" value="2"' in answer.content.decode()
    assert Project.objects.get().specification_text == meanwhile
    page = text_of(editor.client.post(url, {"text": typed, "revision": "2"}))
    assert "Removed Feature view theirs" in page


def test_the_stored_text_has_nothing_to_store(editor: Member, project: Project) -> None:
    url = "/o/acme/projects/shop/settings/specification/"
    page = text_of(editor.client.post(url, {"text": SPECIFICATION, "revision": "1"}))

    assert "it is the text that is stored" in page
    assert "Store and check" not in page


def test_a_project_is_deleted_after_its_name_was_typed(admin: Member, project: Project) -> None:
    url = "/o/acme/projects/shop/settings/delete/"

    assert "This is not its name" in text_of(admin.client.post(url, {"name": "shop"}))
    assert Project.objects.exists()
    assert admin.client.post(url, {"name": "Shop"}).status_code == 303
    assert not Project.objects.exists()


def test_a_finished_run_is_reported_and_shown(editor: Member, project: Project) -> None:
    assert "Nothing has run yet" in text_of(editor.client.get("/o/acme/projects/shop/history/"))

    answer = editor.client.post("/o/acme/projects/shop/history/report/")

    assert answer.status_code == 303
    assert runs.latest_finished(project) == ProfilesRun.objects.get()
    page = text_of(editor.client.get(answer["Location"]))
    assert "Finished" in page
    assert f"Reported on the page by {editor.user.email}" in page


# Warehouses


def test_a_warehouse_is_connected_and_its_password_is_never_shown(admin: Member) -> None:
    answer = admin.client.post("/o/acme/warehouses/new/postgresql/", POSTGRESQL)

    warehouse = Warehouse.objects.get()
    assert answer["Location"] == f"/o/acme/warehouses/{warehouse.public_id}/"
    assert WarehouseCheck.objects.get().warehouse == warehouse
    for page in ("", "edit/"):
        shown = admin.client.get(answer["Location"] + page).content.decode()
        assert POSTGRESQL["password"] not in shown
        assert warehouse.credentials not in shown
    assert "rudder@db.example.com:5432/shop" in text_of(admin.client.get(answer["Location"]))
    assert 'CREATE SCHEMA IF NOT EXISTS "_rudderstack"' in text_of(admin.client.get(answer["Location"]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("host", "/var/run"), ("host", "a,b"), ("host", "db:5432"), ("port", "0"), ("sslmode", "none"), ("database", "")],
)
def test_a_wrong_setting_is_shown_at_its_field(admin: Member, field: str, value: str) -> None:
    answer = admin.client.post("/o/acme/warehouses/new/postgresql/", {**POSTGRESQL, field: value})

    assert f'href="#id_{field}"' in answer.content.decode()
    assert POSTGRESQL["password"] not in answer.content.decode()
    assert not Warehouse.objects.exists()


@pytest.mark.parametrize("file", ["/etc/passwd", "../x.duckdb", "a/../../x", "c:\\x"])
def test_a_file_outside_the_folder_is_refused(admin: Member, file: str) -> None:
    answer = admin.client.post("/o/acme/warehouses/new/duckdb/", {"name": "Dev", "file": file})

    assert "Name a file inside" in text_of(answer)
    assert not Warehouse.objects.exists()


def test_a_connection_that_leads_elsewhere_needs_the_password_again(admin: Member) -> None:
    detail = admin.client.post("/o/acme/warehouses/new/postgresql/", POSTGRESQL)["Location"]
    elsewhere = {**POSTGRESQL, "host": "evil.example.com", "password": ""}

    assert "Enter the password again" in text_of(admin.client.post(f"{detail}edit/", elsewhere))
    assert Warehouse.objects.get().settings["host"] == "db.example.com"
    assert admin.client.post(f"{detail}edit/", {**POSTGRESQL, "name": "P", "password": ""}).status_code == 303
    assert Warehouse.objects.get().credentials


@pytest.mark.parametrize(
    "page", ["warehouses/new/duckdb/", *(f"warehouses/{{warehouse}}/{end}" for end in ("", "edit/", "delete/"))]
)
def test_the_pages_of_a_file_speak_of_no_password(admin: Member, project: Project, page: str) -> None:
    assert "password" not in text_of(admin.client.get(where(page, project))).lower()


def test_a_name_is_used_once(admin: Member, warehouse: Warehouse) -> None:
    answer = admin.client.post("/o/acme/warehouses/new/duckdb/", {"name": "Dev", "file": "x.duckdb"})

    assert "already one called Dev" in text_of(answer)


def test_a_warehouse_that_is_read_stays(admin: Member, project: Project) -> None:
    url = where("warehouses/{warehouse}/delete/", project)

    assert "is read by Shop" in text_of(admin.client.post(url, {"name": "Dev"}))
    projects.delete(project, by=admin.actor, now=timezone.now())
    assert admin.client.post(url, {"name": "Dev"}).status_code == 303
    assert not Warehouse.objects.exists()


def test_a_check_is_watched_until_it_ends(
    viewer: Member, outsider: Member, admin: Member, warehouse: Warehouse
) -> None:
    admin.client.post(f"/o/acme/warehouses/{warehouse.public_id}/check/")
    check = WarehouseCheck.objects.get()
    url = f"/o/acme/checks/{check.public_id}/"
    fragment = viewer.client.get(url, headers={"HX-Request": "true"})

    assert f'hx-get="{url}"' in fragment.content.decode()
    assert "<html" not in fragment.content.decode()
    assert viewer.client.get(url).status_code == 200
    assert outsider.client.get(url.replace("acme", "other")).status_code == 404

    WarehouseCheck.objects.update(
        state="failed",
        finished_at=timezone.now(),
        steps=[{"name": "Connection", "state": "failed", "message": "No.", "cure": "Do this."}],
    )
    assert viewer.client.get(url, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    page = viewer.client.get(f"/o/acme/warehouses/{warehouse.public_id}/")
    assert "Do this." in text_of(page)
    assert "hx-get" not in page.content.decode()
