"""JSON texts laid out for people: every token as it was."""

import json
import re

import pytest

from activation import json_texts

TEXTS = [
    '{"A":1.10,"B":[],"C":{},"D":[1,[2,{"E":"a, b: {c}\\" "}]],"F":null}',
    "[]",
    "1e400",
    '"\\ud800 \\\\"',
    "[[[[]]],{}]",
    '{"":{"":""}}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_but_blanks_between_tokens_changes(text):
    def tokens(given: str) -> list[str]:
        return re.findall(r'"(?:[^"\\]|\\.)*"|[^\s"]', given)

    for laid_out in (json_texts.pretty(text), json_texts.one_line(text)):
        assert tokens(laid_out) == tokens(text)


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[1], TEXTS[4], TEXTS[5]])
def test_it_is_laid_out_as_everybody_does(text):
    assert json_texts.pretty(text) == json.dumps(json.loads(text), indent=2).replace("1.1,", "1.10,")
    assert json_texts.one_line(text) == json.dumps(json.loads(text)).replace("1.1,", "1.10,")
