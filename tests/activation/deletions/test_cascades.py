"""A cascading delete takes every id of a person, whatever fails on its way, and nobody else's."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from activation import cascades, deletions, erasures, handles, other_ids, run_steps, suppressions
from activation.engine import main_ids
from activation.models import Activation, DeletedProfilesPolicy, Deletion, DirtyId, Source, Suppression
from projects.specification import Entity, ProjectSpecification, to_plain
from projects.warehouses import port
from tests.activation.deletions.conftest import ID_TYPES, PEOPLE, Town, keys_of, new_source

OTHERS = keys_of(PEOPLE, "m2", "m3")


def test_every_id_of_the_person_is_deleted_and_nobody_elses(town: Town):
    town.sync()

    answer = town.delete(("email", "ada@x"))

    assert (answer.status, answer.json["deletedKeys"], answer.json["actualKeys"]) == (200, 1, 1)
    assert town.served() == keys_of(PEOPLE) - {"email:ada@x"}, "the named id is deleted at once, the others later"
    assert town.receipt(answer)["status"] == "running"
    town.work()
    assert town.served() == OTHERS
    told = town.receipt(answer)
    assert (told["status"], told["idsFound"], told["actualKeys"], told["deletedKeys"]) == ("finished", 3, 4, 4)
    assert (told["notLookedAt"], told["error"]) == ([], None)


def test_a_later_sync_brings_none_of_them_back(town: Town):
    town.sync()
    town.delete(("phone", "+1"))
    town.work()

    town.put({**PEOPLE, "m1": {**PEOPLE["m1"], "email": [*PEOPLE["m1"]["email"]]}})
    town.sync()
    Source.objects.update(full_next="requested")
    town.sync()

    assert town.served() == OTHERS


def test_without_cascade_nothing_else_happens_and_the_answer_is_the_hosted_one(town: Town):
    town.sync()
    assert town.delete(("email", "ada@x"), cascade=False).json == {"deletedKeys": 1, "actualKeys": 1}
    assert not Deletion.objects.exists()
    refused = town.delete(("email", "ada@x"), cascade="yes")
    assert (refused.status, refused.json["message"]) == (400, "cascade must be true or false.")


def test_people_who_share_no_id_are_deleted_by_one_call(town: Town):
    town.sync()
    answer = town.delete(("phone", "+2"), ("user_id", "u3"))
    town.work()
    assert town.served() == keys_of(PEOPLE, "m1")
    assert town.receipt(answer)["idsFound"] == 2


def test_somebody_who_is_in_no_snapshot_has_no_other_ids(town: Town):
    town.sync()
    answer = town.delete(("email", "nobody@x"))
    town.work()
    told = town.receipt(answer)
    assert (told["status"], told["idsFound"], told["actualKeys"], told["deletedKeys"]) == ("finished", 0, 1, 0)
    assert town.served() == keys_of(PEOPLE)


def test_nothing_of_the_person_is_kept_once_it_has_ended(town: Town):
    town.sync()
    answer = town.delete(("email", "ada@x"))
    row = Deletion.objects.get()
    assert row.ids
    assert "ada@x" not in row.ids

    town.work()

    row.refresh_from_db()
    assert (row.ids, row.state) == ("", "finished")
    assert set(Suppression.objects.values_list("receipt", "pending_key")) == {(answer.json["receiptId"], "")}
    told = str(list(AuditEvent.objects.values_list("details", "target"))) + str(town.receipt(answer))
    told = re.sub(r"\b[0-9A-Za-z]{27}\b", "", told)  # our own ids may hold any letters
    assert not any(one in told for one in ("ada@", "+1", "u1", "m1"))
    assert AuditEvent.objects.get(action="cascading_delete_requested").details == {"receipt": row.public_id, "ids": 1}
    counts = AuditEvent.objects.filter(action="profiles_deleted", actor=town.member.user.email).latest("pk").details
    assert counts == {"addressed": 4, "deleted": 3, "suppressed": 4, "receipt": row.public_id}


@pytest.mark.parametrize("name", ["USER_MAIN_ID", "User_Main_Id"])
def test_the_main_id_column_may_be_written_in_any_case(town: Town, name):
    town.put(PEOPLE, main=name)
    town.sync()
    town.delete(("user_id", "u1"))
    town.work()
    assert town.served() == OTHERS


def test_the_main_id_column_is_the_one_that_the_specification_names(town: Town):
    town.put(PEOPLE, main="rid")
    project = town.world.source.activation.project
    entity = Entity("user", "rid", None, ID_TYPES, "main_view", ())
    project.specification = to_plain(ProjectSpecification("p", 88, "w", (), (entity,), ()))
    project.save()
    town.sync()
    town.delete(("user_id", "u1"))
    town.work()
    assert town.served() == OTHERS


def test_ids_are_found_as_their_sources_normalise_them(town: Town):
    Source.objects.filter(id_type="email").update(normalisation=["trim", "lower"])
    town.put({"m1": {"email": [" Ada@X "], "phone": ["+1"]}, "m2": PEOPLE["m2"]})
    town.sync()
    handles.close()
    assert "email:ada@x" in town.served()

    town.delete(("email", "ADA@x"))
    town.work()

    assert town.served() == keys_of(PEOPLE, "m2")


def test_sources_that_cannot_tell_are_named_and_the_others_looked_at(town: Town):
    town.sync()
    activation = Activation.objects.get()
    never = new_source(activation, "crm_id", view="features_by_crm_id")
    Source.objects.filter(id_type="user_id").update(
        columns=[{"name": "somebody", "type": "VARCHAR"}, {"name": "user_id", "type": "VARCHAR"}]
    )

    answer = town.delete(("email", "ada@x"))
    town.work()

    told = town.receipt(answer)
    missed = {(each["connectionId"], each["code"]) for each in told["notLookedAt"]}
    assert missed == {(never.public_id, "never_synced"), (town.sources["user_id"].public_id, "no_main_id")}
    assert told["status"] == "finished"
    assert town.served() == OTHERS | {"user_id:u1"}


def test_ids_that_another_project_links_are_deleted_too_and_theirs_in_turn(town: Town):
    others = town.another_project("phone", "user_id", "crm_id")
    their_people = {"x1": {"phone": ["+1"], "crm_id": ["c1"]}, "x2": {"crm_id": ["c2"]}}
    with_schema(town, others, their_people)
    mine = dict(town.sources)
    town.sync()
    town.sources = others
    town.sync()
    town.sources = mine

    answer = town.delete(("crm_id", "c1"))
    town.work()

    assert town.served() == OTHERS | {"crm_id:c2"}
    assert town.receipt(answer)["idsFound"] == 4


def with_schema(town, sources, people):
    with town.world.owner() as connection:
        connection.execute("CREATE SCHEMA others")
        for id_type in sources:
            connection.execute(f"CREATE TABLE others.by_{id_type} (user_main_id VARCHAR, {id_type} VARCHAR)")
            for person, ids in people.items():
                for one in ids.get(id_type, []):
                    connection.execute(f"INSERT INTO others.by_{id_type} VALUES (?, ?)", [person, one])


def test_ids_of_a_sync_that_loads_by_now_are_found_too(town: Town):
    town.sync()
    town.put({**PEOPLE, "m1": {**PEOPLE["m1"], "phone": ["+1", "+11"]}})
    world = replace(town.world, source=town.sources["phone"])
    run = world.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())

    town.delete(("email", "ada@x"))
    town.work()
    world.work(run)

    assert town.served() == OTHERS


def test_profiles_that_may_return_return_with_the_next_sync(town: Town):
    Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
    town.sync()
    town.delete(("email", "ada@x"))
    town.work()
    assert town.served() == OTHERS
    assert not Suppression.objects.exists()

    town.sync()

    assert town.served() == keys_of(PEOPLE)


# What fails


def test_a_redis_that_goes_down_in_the_midst_is_waited_for(town: Town, server):
    town.sync()
    answer = town.delete(("email", "ada@x"))
    server.stop()
    handles.close()
    [deletion_id] = deletions.waiting(now=timezone.now())

    for _ in range(12):
        Deletion.objects.update(not_before=timezone.now())
        cascades.work(deletion_id, now=timezone.now())

    told = town.receipt(answer)
    assert (told["status"], told["errorCode"]) == ("running", "destination_unavailable")
    assert Suppression.objects.filter(lifted_at=None).count() == 4, "they stand before anything can be deleted"
    assert DirtyId.objects.filter(reason="deleted").count() == 5, "the next syncs are told once"

    server.start()
    handles.close()
    town.work()
    told = town.receipt(answer)
    assert (told["status"], told["deletedKeys"], told["errorCode"]) == ("finished", 4, None)
    assert town.served() == OTHERS
    town.sync()
    assert town.served() == OTHERS


def test_a_redis_that_is_down_at_first_gets_a_receipt_all_the_same(town: Town, server):
    town.sync()
    server.stop()
    handles.close()

    answer = town.delete(("email", "ada@x"))

    assert (answer.status, answer.json["code"]) == (503, "destination_unavailable")
    server.start()
    handles.close()
    assert suppressions.retry_pending(timezone.now() + timedelta(minutes=1)) == 1
    town.work()
    told = town.receipt(answer)
    assert (told["status"], told["actualKeys"], told["deletedKeys"]) == ("finished", 4, 4), "whoever deleted them"
    assert town.served() == OTHERS


def test_a_delete_of_which_nothing_was_done_leaves_no_receipt(town: Town, server):
    Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
    town.sync()
    server.stop()
    handles.close()

    answer = town.delete(("email", "ada@x"))

    assert (answer.status, "receiptId" in answer.json) == (503, False)
    assert not Deletion.objects.exists()


class Killed(BaseException):
    """Plays kill -9: nothing of ours runs after it."""


@pytest.mark.parametrize("moment", ["find", "keep", "erase", "end"])
def test_a_worker_killed_at_any_moment_costs_a_lease_and_nothing_else(town: Town, monkeypatch, settings, moment):
    town.sync()
    answer = town.delete(("email", "ada@x"))
    module = {"find": other_ids, "keep": deletions, "erase": erasures, "end": deletions}[moment]
    whole = getattr(module, moment)

    def killed_after(*args, **kwargs):
        whole(*args, **kwargs) if moment != "end" else None
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, moment, killed_after)
        [deletion_id] = deletions.waiting(now=timezone.now())
        with pytest.raises(Killed):
            cascades.work(deletion_id, now=timezone.now())
    assert town.receipt(answer)["status"] == "running"
    assert deletions.waiting(now=timezone.now()) == [], "the lease still holds"

    settings.SYNC_LEASE = -1
    town.work()

    told = town.receipt(answer)
    assert (told["status"], told["actualKeys"], told["deletedKeys"]) == ("finished", 4, 4)
    assert town.served() == OTHERS


def test_a_worker_that_was_given_up_records_nothing_when_it_wakes(town: Town, settings, monkeypatch):
    town.sync()
    answer = town.delete(("email", "ada@x"))
    row = deletions.claim(deletions.waiting(now=timezone.now())[0], now=timezone.now())
    assert row is not None
    settings.SYNC_LEASE = -1
    town.work()
    before = town.receipt(answer)

    assert not deletions.keep(row, deletions.Known((("email", "x"),)), keys=9, missed=[], looked=True)
    assert not deletions.end(row, code="late", message="late", now=timezone.now())
    deletions.put_back(row, code="late", message="late", now=timezone.now())

    assert town.receipt(answer) == before


def test_two_workers_do_not_take_the_same_deletion(town: Town):
    town.sync()
    town.delete(("email", "ada@x"))
    [deletion_id] = deletions.waiting(now=timezone.now())
    assert deletions.claim(deletion_id, now=timezone.now())
    assert deletions.claim(deletion_id, now=timezone.now()) is None


def fails(monkeypatch, source: Source, error: Exception, *, times: int) -> list[int]:
    """Let the warehouse fail so often when it is asked for a source's ids."""
    real, left = main_ids.ids, [times]

    def ids(warehouse, carrier, persons, *, most):
        if carrier.table == source.base_snapshot and left[0]:
            left[0] -= 1
            raise error
        return real(warehouse, carrier, persons, most=most)

    monkeypatch.setattr(main_ids, "ids", ids)
    return left


def test_a_warehouse_that_fails_for_a_moment_is_asked_again(town: Town, monkeypatch):
    town.sync()
    phone = Source.objects.get(id_type="phone")
    left = fails(monkeypatch, phone, port.WarehouseBusy("busy"), times=2)
    answer = town.delete(("email", "ada@x"))

    cascades.work(deletions.waiting(now=timezone.now())[0], now=timezone.now())

    assert town.served() == OTHERS | {"phone:+1"}, "what was found is deleted at once"
    told = town.receipt(answer)
    assert (told["status"], [each["code"] for each in told["notLookedAt"]]) == ("running", ["warehouse_busy"])
    town.work()
    told = town.receipt(answer)
    assert (told["status"], told["notLookedAt"], told["deletedKeys"], left) == ("finished", [], 4, [0])
    assert town.served() == OTHERS


@pytest.mark.parametrize("error", [port.WarehouseBusy("busy"), port.QueryFailed("no")])
def test_a_source_that_cannot_be_asked_for_good_is_a_failure_that_says_so(town: Town, monkeypatch, error):
    town.sync()
    fails(monkeypatch, Source.objects.get(id_type="phone"), error, times=1_000)

    answer = town.delete(("email", "ada@x"))
    town.work()

    told = town.receipt(answer)
    assert (told["status"], told["errorCode"], told["idsFound"]) == ("failed", "sources_not_looked_at", 2)
    assert [each["connectionId"] for each in told["notLookedAt"]] == [town.sources["phone"].public_id]
    assert Deletion.objects.get().ids == ""
    assert town.served() == OTHERS | {"phone:+1"}


def test_a_snapshot_that_a_sync_replaced_meanwhile_is_looked_at_in_its_new_form(town: Town, monkeypatch):
    town.sync()
    phone = Source.objects.get(id_type="phone")
    real = main_ids.ids

    def ids(warehouse, carrier, persons, *, most):
        if carrier.table == phone.base_snapshot:
            monkeypatch.setattr(main_ids, "ids", real)
            town.put(PEOPLE | {"m9": {"phone": ["+9"]}})
            town.sync("phone")
        return real(warehouse, carrier, persons, most=most)

    monkeypatch.setattr(main_ids, "ids", ids)
    answer = town.delete(("email", "ada@x"))
    town.work()

    told = town.receipt(answer)
    assert (told["status"], told["notLookedAt"]) == ("finished", [])
    assert town.served() == OTHERS | {"phone:+9"}


def test_more_ids_than_are_looked_for_are_a_failure_that_says_so(town: Town, monkeypatch):
    monkeypatch.setattr(other_ids, "MOST_IDS", 5)
    town.put({"m1": {"email": [f"e{n}@x" for n in range(9)]}, "m2": PEOPLE["m2"]})
    town.sync()

    answer = town.delete(("email", "e0@x"))
    town.work()

    told = town.receipt(answer)
    assert (told["status"], told["errorCode"], told["idsFound"]) == ("failed", "too_many_ids", 5)
    assert len(town.served()) == 9 - 6 + 2


def test_receipts_are_kept_for_some_weeks(town: Town):
    town.sync()
    answer = town.delete(("email", "ada@x"))
    deletions.forget(now=timezone.now() + timedelta(days=1000))
    assert town.receipt(answer)["status"] == "running", "one that goes on is kept"
    town.work()
    deletions.forget(now=timezone.now() + timedelta(days=89))
    assert town.receipt(answer)["status"] == "finished"
    deletions.forget(now=timezone.now() + timedelta(days=91))
    assert not Deletion.objects.exists()
