"""*Count now*: rows and NULLs of a project's views, counted by a worker in real warehouses and shown on the page."""

import html
import re
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from projects import checks, counts
from projects.models import CheckState, Project, ViewCount
from projects.shares import percent
from projects.warehouses import counts as warehouse_counts
from projects.warehouses.port import Column, Relation
from tests.projects.conftest import Catalogue


def words(response) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def page(member, project: Project):
    return member.client.get(reverse("projects:detail", args=["acme", project.slug]))


def placed(project: Project, relation: str = "features_by_email", view: str = "features_by_email") -> None:
    placement = {"schema": "profiles", "relation": relation, "id_column": "email", "chosen": []}
    catalogue = {"columns": {view: ["EMAIL", "SCORE"]}, "types": {view: ["VARCHAR", "INTEGER"]}}
    Project.objects.filter(pk=project.pk).update(placements={view: placement}, catalogue=catalogue)
    project.refresh_from_db()


def counted(project: Project, *, now=None) -> list[int]:
    """Let a worker count what waits."""
    waiting = ViewCount.objects.filter(project=project, state=CheckState.QUEUED).values_list("pk", flat=True)
    return [pk for pk in waiting if counts.run(pk, now=now or timezone.now())]


def test_rows_and_nulls_of_each_real_view_are_counted(real, real_project, editor, admin):
    real.execute(
        [
            "CREATE TABLE profiles.some_features (email VARCHAR, score INTEGER, plan VARCHAR)",
            "INSERT INTO profiles.some_features VALUES ('a', 1, NULL), ('b', NULL, NULL), (NULL, 3, NULL)",
        ]
    )
    check = checks.request_check(real_project.warehouse, project=real_project, by=editor.actor, now=timezone.now())
    checks.run_check(check.pk, now=timezone.now())
    real_project.refresh_from_db()
    placed(real_project, "some_features")

    counts.request(real_project, by=editor.actor, now=timezone.now())
    assert len(counted(real_project)) == 1

    row = ViewCount.objects.get()
    assert (row.state, row.error, row.rows) == ("passed", "", 3)
    assert [(each["name"], each["nulls"]) for each in row.columns] == [("email", 1), ("score", 1), ("plan", 3)]
    assert all(each["type"] for each in row.columns)
    shown = words(page(editor, real_project))
    assert "3 columns of features_by_email" in shown
    assert re.search(r"email \S+( \S+)? 33.3 %", shown)
    assert re.search(r"plan \S+( \S+)? 100 %", shown)


def test_columns_have_their_types_before_anything_is_counted(project, editor):
    placed(project)
    shown = words(page(editor, project))
    assert "2 columns of features_by_email" in shown
    assert "EMAIL VARCHAR –" in shown  # noqa: RUF001 - as shown
    assert "not counted" in shown


def test_a_view_that_is_counted_is_polled_and_keeps_its_figures_meanwhile(project, editor, viewer):
    placed(project)
    asked = reverse("projects:count", args=["acme", project.slug])
    assert viewer.client.post(asked).status_code == 403
    assert "Count now" not in words(page(viewer, project))
    assert editor.client.post(asked).status_code == 303
    waiting = page(editor, project)
    assert "Counting" in words(waiting)
    assert 'hx-select="#entities"' in waiting.content.decode()
    assert counted(project)
    row = ViewCount.objects.get()
    assert row.state == CheckState.FAILED  # there is no file behind the connection
    assert row.error in words(page(editor, project))
    assert "hx-select" not in page(editor, project).content.decode()
    assert AuditEvent.objects.get(action="feature_views_counted").details == {"feature_views": 1}


def test_is_asked_for_once_a_minute_and_by_who_may(project, editor, viewer):
    placed(project)
    now = timezone.now()
    with pytest.raises(PermissionRefused):
        counts.request(project, by=viewer.actor, now=now)
    assert len(counts.request(project, by=editor.actor, now=now)) == 1
    assert counts.request(project, by=editor.actor, now=now + timedelta(minutes=2)) == []
    counted(project)
    assert counts.request(project, by=editor.actor, now=now + timedelta(seconds=59)) == []
    assert len(counts.request(project, by=editor.actor, now=now + timedelta(minutes=2))) == 1


def test_a_lost_wake_up_and_a_lost_worker_are_made_up_for(project, editor):
    placed(project)
    now = timezone.now()
    [row] = counts.request(project, by=editor.actor, now=now)
    assert counts.waiting(now=now) == []
    assert counts.waiting(now=now + counts.WAKE_AFTER * 2) == [row.pk]
    ViewCount.objects.update(state=CheckState.RUNNING, started_at=now, attempt=1)
    assert counts.waiting(now=now + timedelta(minutes=5)) == []
    assert not counts.run(row.pk, now=now)
    late = now + counts.STUCK_AFTER * 2
    assert counts.waiting(now=late) == [row.pk]
    ViewCount.objects.update(attempt=counts.MAX_ATTEMPTS)
    assert counts.run(row.pk, now=late)
    assert ViewCount.objects.get().error == "Counting was interrupted three times. Count again."


def test_figures_of_another_relation_are_not_shown(project, editor):
    placed(project)
    ViewCount.objects.create(
        project=project,
        feature_view="features_by_email",
        state=CheckState.PASSED,
        requested_at=timezone.now(),
        relation=["profiles", "features_by_email"],
        rows=1234,
        columns=[{"name": "EMAIL", "type": "VARCHAR", "nulls": 0}],
        counted_at=timezone.now(),
    )
    assert "1,234" in words(page(editor, project))
    placed(project, "another")
    assert "1,234" not in words(page(editor, project))


class Quoting:
    def quote(self, name: str) -> str:
        return f'"{name}"'

    def relation(self, relation: Relation) -> str:
        return relation.name


class Wide(Catalogue):
    """A warehouse whose views have 450 columns; in each portion the first column is NULL in ten rows of ten."""

    dialect = Quoting()
    asked: ClassVar[set[int]] = set()

    def describe(self, _: Relation) -> list[Column]:
        return [Column(f"c{number}", "text") for number in range(450)]

    def fetch(self, sql: str) -> list[tuple[int, ...]]:
        columns = sql.count('count("')
        self.asked.add(columns)
        return [(10, *([0] + [10] * (columns - 1)))]


def test_a_wide_view_is_counted_in_portions():
    wide: Any = Wide({})
    found = warehouse_counts.count(wide, Relation("s", "v"))
    assert wide.asked == {200, 50}
    assert found.rows == 10
    assert [place for place, nulls in enumerate(found.nulls) if nulls == 10] == [0, 200, 400]
    assert len(found.nulls) == len(found.columns) == 450


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, ""), (0, 9, "0 %"), (9, 9, "100 %"), (1, 100_000, "0.1 %"), (99_999, 100_000, "99.9 %"), (1, 3, "33.3 %")],
)
def test_only_none_is_nothing_and_only_all_is_everything(part, whole, said):
    assert percent(part, whole) == said
