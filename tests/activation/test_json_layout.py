"""JSON laid out for people: the same text, over several lines."""

import json

import pytest

from activation.json_layout import indented


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": {}}, {"a": [1, 2, {"b": None}], "c": 'x, {y}: ["z"] \\ \n'}, [[], [[]], {"": ""}], "text", 1.5],
)
def test_it_reads_as_the_standard_library_lays_it_out(value):
    assert indented(json.dumps(value)) == json.dumps(value, indent=2)


def test_every_digit_and_escape_stays():
    assert indented('{"a":1.10,"b":123456789012345678901,"c":"\\u00e9é"}') == (
        '{\n  "a": 1.10,\n  "b": 123456789012345678901,\n  "c": "\\u00e9é"\n}'
    )
