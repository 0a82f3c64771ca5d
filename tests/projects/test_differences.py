"""What a new `pb_project.yaml` changes, in words: entities, id types and feature views."""

import pytest

from projects import differences, pb_project
from projects.differences import Change
from tests.projects.conftest import SPECIFICATION

ACCOUNT = """\
  - name: account
    id_types: [domain]
    feature_views:
      using_ids:
        - {id: domain, name: account_features}
"""


def changes(before: str, after: str) -> set[Change]:
    return set(differences.between(pb_project.read(before), before, pb_project.read(after), after).changes)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "[email, salesforce_id]",
            "[email, salesforce_id, phone]",
            {Change("added", "Id type phone", "of the entity user")},
        ),
        (
            "        - id: email\n          name: features_by_email\n",
            "",
            {Change("removed", "Feature view features_by_email", "of user by email")},
        ),
        (
            "        - id: email\n          name: features_by_email\n        - id: salesforce_id\n",
            "        - id: salesforce_id\n          name: features_by_email\n",
            {
                Change("changed", "Feature view features_by_email", "by salesforce_id instead of by email"),
                Change("removed", "Feature view user_feature_view_using_salesforce_id", "of user by salesforce_id"),
            },
        ),
        ("schema_version: 97", "schema_version: 98", {Change("changed", "Schema version", "97 → 98")}),
        ("warehouse_dev", "warehouse", {Change("changed", "Connection", "warehouse_dev → warehouse")}),
        ("name: shop_profiles", "# Ours\nname: shop_profiles", set()),
    ],
)
def test_what_differs_is_told_in_words_and_nothing_else(old, new, expected):
    assert old in SPECIFICATION
    assert changes(SPECIFICATION, SPECIFICATION.replace(old, new)) == expected


def test_an_entity_comes_and_goes_with_its_views():
    with_account = SPECIFICATION + ACCOUNT
    view = "Feature view account_features"
    assert changes(SPECIFICATION, with_account) == {
        Change("added", "Entity account", "with the id types domain"),
        Change("added", view, "of account by domain"),
    }
    assert changes(with_account, SPECIFICATION) == {
        Change("removed", "Entity account"),
        Change("removed", view, "of account by domain"),
    }


def test_a_definition_of_an_id_type_is_told_apart_from_its_use():
    defined = SPECIFICATION + "id_types:\n  - name: email\n    filters:\n      - type: exclude\n        value: x\n"
    assert changes(SPECIFICATION, defined) == {Change("added", "Definition of the id type email")}
    assert changes(defined, defined.replace("value: x", "value: y")) == {
        Change("changed", "Definition of the id type email", "what it extends, or its filters")
    }
