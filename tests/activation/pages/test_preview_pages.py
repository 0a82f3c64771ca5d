"""*Preview changes* on pages: asking, watching, what is told, and documents only for who may see them."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import vault
from accounts.models import AuditEvent
from activation.models import Activation, Preview, Source, SyncRun
from activation.preview_pages import tell

RESULT: dict[str, object] = {
    "base_rows": 1000,
    "rows_in_view": 1003,
    "rows": 1000,
    "added": 1,
    "changed": 600,
    "removed": 1,
    "unchanged": 399,
    "kept": 0,
    "null_ids": 3,
    "duplicate_ids": 0,
    "invalid_ids": 0,
    "columns": [
        {"name": "<i>run at</i>", "rows": 600, "alone": 599, "counts": True},
        {"name": "seen", "rows": 3, "alone": 0, "counts": False},
    ],
    "nulls": [
        {"name": "score", "now": 500, "before": 1},
        {"name": "plan", "now": 0, "before": None},
        {"name": "seen", "now": 1000, "before": 999},
    ],
    "new_columns": ["plan"],
    "gone_columns": ["old"],
    "other_types": ["score"],
    "full_reason": "columns_changed",
    "destination_asked": False,
    "out_of_step": True,
    "guard_stops": True,
    "samples": 2,
}
DOCUMENTS = [
    {"id": "jane@x", "before": '{"email":"jane@x","score":1.10}', "after": '{"email":"jane@x","score":1.1}'},
    {"id": "long@x", "before": None, "after": '{"email":"long@x","text":"<script>'},
]


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def source(activation: Activation) -> Source:
    return Source.objects.get(id_type="email")


@pytest.fixture
def preview(source: Source) -> Preview:
    """A preview that is done."""
    now = timezone.now()
    return Preview.objects.create(
        source=source,
        state=Preview.State.DONE,
        requested_by="ada@acme.example",
        result=RESULT,
        sample=vault.encrypt(json.dumps(DOCUMENTS)),
        sample_expires_at=now + timedelta(days=1),
        finished_at=now,
    )


def address(preview: Preview, name: str = "preview") -> str:
    return reverse(f"activation:{name}", args=["acme", preview.public_id])


def start(source: Source) -> str:
    return reverse("activation:start_preview", args=["acme", source.public_id])


def test_the_button_on_a_source_starts_a_preview_and_leads_to_it(source, editor, viewer, monkeypatch):
    woken: list[int] = []
    monkeypatch.setattr(
        "activation.tasks.preview.apply_async", lambda **sent: woken.append(sent["kwargs"]["preview_id"])
    )
    of_source = reverse("activation:source", args=["acme", source.public_id])
    assert start(source) in text(editor.client.get(of_source))
    assert start(source) not in text(viewer.client.get(of_source))

    answer = editor.client.post(start(source))

    preview = Preview.objects.get()
    assert (answer.status_code, answer.url) == (303, address(preview))
    page = text(editor.client.get(answer.url))
    assert 'hx-trigger="every 1s"' in page
    assert "Queued" in page
    assert address(preview) in text(viewer.client.get(of_source))
    assert "<html" not in text(editor.client.get(answer.url, headers={"hx-request": "true"}))


def test_nothing_is_previewed_where_nothing_is_synced(source, editor):
    Activation.objects.update(enabled=False)

    answer = editor.client.post(start(source), follow=True)

    assert "is not synced any more" in text(answer)
    assert not Preview.objects.exists()


def test_everything_that_was_found_is_told(preview, admin):
    page = text(admin.client.get(address(preview)))

    for words in (
        "A sync now would be <strong>full</strong>, and write every row: the view&#x27;s columns changed.",
        "Redis could not be asked",
        "It also puts right the profiles that earlier syncs left out of step.",
        "The guard would stop this sync",
        "99 % of the changed rows differ in &lt;i&gt;run at&lt;/i&gt; alone",
        "?leave_out=%3Ci%3Erun%20at%3C%2Fi%3E",
        "The only difference in 599",
        "Left out of the comparison",
        "New in the view: plan.",
        "No longer in the view: old.",
        "Of another type than before: score.",
        "up 50 points",
        "0.1 %",
        "99.9 %",
        "Show 2 profiles before and after",
    ):
        assert words in page, words
    assert "jane@x" not in page


def test_what_is_put_right_is_no_longer_counted_as_unchanged(preview, viewer):
    assert "Written again" not in text(viewer.client.get(address(preview)))
    Preview.objects.update(result=RESULT | {"unchanged": 50, "written_again": 20, "deleted_again": 3})

    told = {name: count for name, count, _ in tell(Preview.objects.get()).counts}

    assert (told["Unchanged"], told["Written again"], told["Deleted again"]) == (30, 20, 3)
    assert "earlier syncs may have left them otherwise" in text(viewer.client.get(address(preview)))


def test_documents_are_shown_side_by_side_digit_by_digit(preview, admin):
    page = text(admin.client.get(address(preview, "preview_documents")))

    assert "<code>1.10</code>" in page
    assert "<code>1.1</code>" in page
    assert "Too long to be shown whole." in page
    assert "<script>" not in page.partition("</head>")[2].partition("long@x")[2].partition("</section>")[0]
    assert AuditEvent.objects.filter(action="preview_documents_seen").count() == 1


def test_others_see_that_there_are_documents(preview, editor):
    page = text(editor.client.get(address(preview)))

    assert "2 profiles before and after: for those who may see personal data." in page
    assert "An Admin can leave it out." in page
    assert editor.client.get(address(preview, "preview_documents")).status_code == 403


def test_documents_that_expired_are_said_to_be_gone(preview, admin):
    Preview.objects.update(sample_expires_at=timezone.now())

    assert "They were kept for a day." in text(admin.client.get(address(preview)))
    assert "kept for a day only" in text(admin.client.get(address(preview, "preview_documents")))
    assert not AuditEvent.objects.filter(action="preview_documents_seen").exists()


def test_a_preview_that_failed_says_why_and_what_to_do(preview, editor):
    Preview.objects.update(
        state=Preview.State.FAILED, error_code="grant_missing", error="The user may not read profiles.people."
    )

    page = text(editor.client.get(address(preview)))

    assert "The user may not read profiles.people." in page
    assert "Run the grants SQL shown for this warehouse. Then preview the changes again." in page
    assert "/help/troubleshooting/#grant_missing" in page
    assert "Preview again" in page


def test_a_first_preview_has_nothing_to_compare_with(preview, admin):
    first = RESULT | {"base_rows": None, "changed": 0, "columns": [], "full_reason": "first", "samples": 0}
    Preview.objects.update(result=first)

    page = text(admin.client.get(address(preview)))

    assert "There is no earlier sync to compare with." in page
    assert "There is no profile to show." in page


def test_a_sync_that_wrote_all_for_one_column_says_so_until_it_is_left_out(source, admin, viewer):
    run = SyncRun.objects.get(source=source)
    SyncRun.objects.update(offer={"column": "run_at", "percent": 98})
    page = reverse("activation:run", args=["acme", run.public_id])
    link = reverse("activation:source_settings", args=["acme", source.public_id]) + "?leave_out=run_at"

    assert "98 % of the changed rows differ in run_at alone" in text(admin.client.get(page))
    assert link in text(admin.client.get(page))
    assert link not in text(viewer.client.get(page))
    Source.objects.update(ignored_columns=["run_at"])
    assert "differ in run_at alone" not in text(admin.client.get(page))
