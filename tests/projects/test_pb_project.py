"""pb_project.yaml: what is read from it, and what is said about a wrong one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projects import pb_project, specification, yaml_document
from projects.problems import SpecificationProblems

FILE = """\
name: shop_profiles
schema_version: 97
connection: warehouse_dev
model_folders:
  - models
packages:
  - name: corelib
    url: https://github.com/rudderlabs/rudderstack-profiles-corelib/tag/schema_97
include_untimed: true
entities:
  - name: user
    id_stitcher: models/user_id_stitcher
    id_types:
      - main_id
      - email
      - salesforce_id
    feature_views:
      name: user_360
      using_ids:
        - id: email
          name: features_by_email
        - id: salesforce_id
  - name: account
    id_column_name: account_rid
    id_types: [domain]
    colour: green
id_types:
  - name: email
    filters:
      - type: include
        regex: '.+@.+'
  - name: salesforce_id
    extends: main_id
"""


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SpecificationProblems) as caught:
        pb_project.read(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_is_read_with_its_defaults() -> None:
    project = pb_project.read(FILE)

    assert (project.name, project.schema_version, project.connection) == ("shop_profiles", 97, "warehouse_dev")
    assert project.model_folders == ("models",)
    user, account = project.entities
    assert user.id_column_name == "user_main_id"
    assert user.main_view == "user_360"
    assert [(view.id_type, view.declared_name, view.name, view.path_ref) for view in user.feature_views] == [
        ("email", "features_by_email", "features_by_email", "user/all/feature_view/using_email"),
        ("salesforce_id", None, "user_feature_view_using_salesforce_id", "user/all/feature_view/using_salesforce_id"),
    ]
    assert (account.id_column_name, account.main_view, account.feature_views) == (
        "account_rid",
        "account_feature_view",
        (),
    )
    assert [id_type.name for id_type in project.id_types] == ["email", "salesforce_id"]
    assert project.id_types[0].filters == ({"type": "include", "regex": ".+@.+"},)


def test_keys_that_nothing_interprets_are_kept() -> None:
    project = pb_project.read(FILE)

    assert project.others["include_untimed"] is True
    assert project.others["packages"][0]["name"] == "corelib"
    assert project.entities[1].others == {"colour": "green"}


def test_the_values_survive_the_way_through_plain_json() -> None:
    project = pb_project.read(FILE)

    assert specification.from_plain(json.loads(json.dumps(specification.to_plain(project)))) == project


@pytest.mark.parametrize(
    "section",
    [
        "serve_traits: [{id_served: email, name: by_email}]",
        "serve_traits_360: {using_ids: [{id: email, name: by_email}]}",
        "feature_views: {using_ids: [{id: email, name: by_email}]}",
    ],
)
def test_older_spellings_mean_the_same(section: str) -> None:
    (view,) = pb_project.read(with_entity(section)).entities[0].feature_views

    assert (view.id_type, view.declared_name, view.path_ref) == (
        "email",
        "by_email",
        "user/all/feature_view/using_email",
    )


@pytest.mark.parametrize("section", ["serve_traits: [{id_served: email}]", "feature_views: {using_ids: [{id: email}]}"])
def test_an_unnamed_view_is_looked_for_under_every_known_name(section: str) -> None:
    project = pb_project.read(with_entity(section))
    ((entity, view),) = project.views()

    assert specification.candidate_relations(entity.name, view) == [
        "user_feature_view_using_email",
        "feature_view_using_email",
        "email_user_default_entity_serve_360",
    ]
    assert view.name == "user_feature_view_using_email"


def test_a_declared_view_is_looked_for_under_its_own_name_only() -> None:
    ((entity, view),) = pb_project.read(with_entity("feature_views: {using_ids: [{id: email, name: V}]}")).views()

    assert specification.candidate_relations(entity.name, view) == ["V"]


def test_a_project_that_lists_no_ids_is_told_the_yaml_to_add() -> None:
    project = pb_project.read(with_entity("feature_views: {name: main}"))
    missing = specification.missing_feature_views(project)

    assert missing is not None
    assert missing.entities == ("user",)
    assert "`user`" in missing.message
    assert "using_ids:\n        - id: email\n          name: features_by_email\n" in missing.yaml
    added = with_entity("feature_views:\n" + missing.yaml.split("feature_views:\n")[1].replace("\n", "\n  "))
    assert [view.name for _, view in pb_project.read(added).views()] == ["features_by_email", "features_by_odd id"]


def test_a_project_that_lists_an_id_has_nothing_to_be_told() -> None:
    assert specification.missing_feature_views(pb_project.read(FILE)) is None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("", "line 1, column 1: The file is empty."),
        ("- name", "line 1, column 1: A pb_project.yaml is a mapping"),
        (FILE.replace("name: shop_profiles\n", ""), "line 1, column 1: `name` is missing here."),
        (
            FILE.replace("schema_version: 97", "schema_version: new"),
            "line 2, column 17: `schema_version` must be a whole",
        ),
        (FILE.replace("  - models", "  models"), "line 5, column 3: `model_folders` must be a list"),
        (
            FILE.replace("        - id: email\n          name: f", "        - name: f"),
            "line 20, column 11: `id` is missing",
        ),
        (FILE.replace("  - name: account\n", "  - name: ' '\n"), "line 23, column 11: `name` is blank."),
        (FILE.replace("- name: account", "- name: user"), "line 23, column 11: There are two entities called `user`."),
        (FILE.replace("- name: account", "- name: _activation"), "line 23, column 11: An entity may not be called"),
        (FILE.replace("- id: salesforce_id", "- id: phone"), "line 22, column 11: `phone` is not an id type of `user`"),
        (FILE.replace("      - email\n", "      - main_id\n"), "line 15, column 9: `main_id` is listed twice."),
        (FILE + "name: again\n", "line 34, column 1: `name` is here twice; it is on line 1 already."),
        (FILE.replace("  - models", "\t- models"), "line 5, column 1: There is a tab here."),
        (FILE + "---\nname: x\n", "line 34, column 1: A second document"),
        (FILE.replace("colour: green", "colour: 'green"), "line 31, column 17: YAML cannot be read here"),
        (FILE.replace("green", "gr\x01een"), "line 26, column 15: There is a control character here"),
        (FILE.replace("green", '"\\0"'), "line 26, column 13: This text holds a NUL"),
        (FILE.replace("green", "*nobody"), "line 26, column 13: YAML cannot be read here (found undefined alias)"),
        ("a: &x [*x]", "Values are nested more than 40 deep"),
        ("[" * 5000, "line 1, column 41: Values are nested more than 40 deep"),
        ("? [a]\n: b", "line 1, column 3: A key must be plain text"),
        ("<<: 5", "line 1, column 1: `name` is missing"),
        ("x" * 600_000, "line 1, column 1: The file is larger than 512 KiB."),
    ],
)
def test_a_problem_names_its_place_and_what_to_do(broken: str, said: str) -> None:
    assert any(said in problem for problem in problems(broken)), problems(broken)


def test_all_problems_are_said_at_once_in_the_order_of_the_text() -> None:
    broken = FILE.replace("97", "x").replace("- id: salesforce_id", "- id: phone").replace("[domain]", "[]")

    assert [problem.split(":")[0] for problem in problems(broken + "name: again\n")] == [
        "line 2, column 17",
        "line 22, column 11",
        "line 25, column 15",
        "line 34, column 1",
    ]


def test_bytes_that_are_not_utf_8_are_refused_with_their_place() -> None:
    assert problems(b"name: ok\nconnection: caf\xe9\n") == [
        "line 2, column 16: The file is not UTF-8 text from here on. Save it as UTF-8 and upload it again."
    ]


def test_a_byte_order_mark_is_fine() -> None:
    assert pb_project.read(FILE.encode("utf-8-sig")) == pb_project.read("\ufeff" + FILE) == pb_project.read(FILE)


def test_an_alias_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    assert "more than 20,000 values" in problems("\n".join(lines))[0]


def test_a_bomb_of_merge_keys_is_refused_quickly() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]

    assert "more than 20,000 values" in problems("\n".join(lines))[0]


def test_merge_keys_lend_their_members_and_own_keys_win() -> None:
    document = yaml_document.Document("base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\nboth: {<<: [*b, {z: 4}]}")

    assert document.value == {"base": {"x": 1, "y": 2}, "own": {"x": 1, "y": 3}, "both": {"x": 1, "y": 2, "z": 4}}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("true", True),
        ("12:30", "12:30"),
        ("012", "012"),
        ("1.5", 1.5),
        (".inf", ".inf"),
        ("~", None),
        ("'5'", "5"),
    ],
)
def test_plain_scalars_are_read_as_profiles_reads_them(written: str, value: object) -> None:
    assert yaml_document.Document(f"x: {written}").value == {"x": value}


_names = st.text(max_size=8)
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


def read_or_problems(text: str | bytes) -> None:
    try:
        project = pb_project.read(text)
    except SpecificationProblems as error:
        lines = [problem.line for problem in error.problems]
    else:
        assert specification.from_plain(json.loads(json.dumps(specification.to_plain(project)))) == project
        return
    assert lines == sorted(lines)
    assert lines[0] >= 1


@settings(max_examples=150, deadline=None)
@given(st.text() | st.text(alphabet="{}[]&*!|>'\"%@`-:?,# \n\tab<=0."))
def test_any_text_gives_a_specification_or_problems(text: str) -> None:
    read_or_problems(text)


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes_give_a_specification_or_problems(data: bytes) -> None:
    read_or_problems(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_a_good_file_gives_a_specification_or_problems(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FILE)))
    end = data.draw(st.integers(start, min(len(FILE), start + 20)))
    read_or_problems(FILE[:start] + data.draw(st.text(max_size=6)) + FILE[end:])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_in_place_of_another_gives_a_specification_or_problems(data: st.DataObject) -> None:
    whole: Any = yaml_document.Document(FILE).value
    part: Any = whole
    paths: list[list[str | int]] = [["entities"], ["entities", 0, "feature_views"], ["id_types", 0], ["name"]]
    path = data.draw(st.sampled_from(paths))
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = data.draw(_values)
    read_or_problems(json.dumps(whole))


def with_entity(section: str) -> str:
    return f"""\
name: shop
schema_version: 49
connection: dev
model_folders: [models]
entities:
  - name: user
    id_types: [email, "odd id"]
    {section}
"""
