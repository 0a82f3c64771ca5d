"""YAML text → plain JSON values with the place of each in the text, within limits.

Only composes (libyaml): no constructor runs, so no tag can make anything but text, numbers, booleans, null, lists and
mappings. Size, nesting and the number of values after aliases are limited: a small text of nested aliases would
otherwise unfold into gigabytes. Plain scalars follow YAML 1.2's core schema (`no` is text), as Profiles reads them.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias, cast

import yaml

from projects.problems import Problem, SpecificationProblems

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 512 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000

_TEXT_TAG = "tag:yaml.org,2002:str"
_QUOTED = frozenset({"'", '"', "|", ">"})
_MERGE_TAG = "tag:yaml.org,2002:merge"
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")


class Document:
    """A parsed text: its plain `value`, the place of every value by its path, and the problems met on the way."""

    def __init__(self, text: str) -> None:
        """Parse `text`. Raises `SpecificationProblems` when nothing can be told about its values."""
        self.problems: list[Problem] = []
        self._places: dict[Path, tuple[int, int]] = {}
        self._merges = 0
        root = _compose(text)
        self.value = self._plain(root, ())

    def place(self, path: Path) -> tuple[int, int]:
        """Return line and column (from 1) of the value at `path`, or of what should have held it."""
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def _plain(self, node: yaml.Node, path: Path) -> Json:
        line, column = _from_one(node.start_mark)
        self._places[path] = (line, column)
        if len(path) > MAX_DEPTH:
            raise SpecificationProblems([_too_deep(line, column)])
        self._verify_number(node)
        if isinstance(node, yaml.MappingNode):
            return {key: self._plain(value, (*path, key)) for key, value in self._members(node).items()}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(cast("yaml.ScalarNode", node))

    def _scalar(self, node: yaml.ScalarNode) -> Json:
        text = str(node.value)
        if "\x00" in text:
            self._say(node, "This text holds a NUL character, which cannot be stored. Remove it.")
            return ""
        if node.style in _QUOTED or node.tag == _TEXT_TAG:
            return text
        return _resolved(text)

    def _members(self, node: yaml.MappingNode, depth: int = 0) -> dict[str, yaml.Node]:
        """Return a mapping's members by key: the first of two equal keys, own keys before merged ones."""
        own: dict[str, yaml.Node] = {}
        merged: dict[str, yaml.Node] = {}
        places: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                for name, inherited in self._merged(value, depth + 1):
                    merged.setdefault(name, inherited)
            elif not isinstance(key, yaml.ScalarNode) or "\x00" in key.value:
                self._say(key, "A key must be plain text, such as `name:`.")
            elif key.value in own:
                self._say(key, f"`{key.value}` is here twice; it is on line {places[key.value]} already. Keep one.")
            else:
                own[key.value] = value
                places[key.value] = key.start_mark.line + 1
        return {**merged, **own}

    def _verify_number(self, node: yaml.Node) -> None:
        if len(self._places) + self._merges > MAX_VALUES:
            raise SpecificationProblems([_too_many(*_from_one(node.start_mark))])

    def _merged(self, node: yaml.Node, depth: int) -> Iterator[tuple[str, yaml.Node]]:
        self._merges += 1
        self._verify_number(node)
        if depth > MAX_DEPTH:
            raise SpecificationProblems([_too_deep(*_from_one(node.start_mark))])
        if isinstance(node, yaml.MappingNode):
            yield from self._members(node, depth).items()
        elif isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.MappingNode) for item in node.value):
            for item in node.value:
                yield from self._merged(item, depth)
        else:
            self._say(node, "`<<` takes a mapping, such as `<<: *defaults`.")

    def _say(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(*_from_one(node.start_mark), message))


def decode(data: bytes) -> str:
    """Read an uploaded file's bytes as UTF-8. Raises `SpecificationProblems` with the place of the first bad byte."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        message = "The file is not UTF-8 text from here on. Save it as UTF-8 and upload it again."
        raise SpecificationProblems([Problem(*_end_of(before), message)]) from None


def _compose(text: str) -> yaml.Node:
    _verify_text(text)
    try:
        _verify_depth(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise SpecificationProblems([_syntax_problem(error, text)]) from None
    except yaml.YAMLError:
        raise SpecificationProblems([Problem(1, 1, "This cannot be read as YAML.")]) from None
    if node is None:
        raise SpecificationProblems([Problem(1, 1, "The file is empty. Paste the text of your pb_project.yaml.")])
    return node


def _verify_text(text: str) -> None:
    """Refuse what libyaml would refuse without telling where."""
    for position, character in enumerate(text):
        if (character < " " and character not in "\n\r\t") or ("\x7f" <= character < "\xa0" and character != "\x85"):
            message = "There is a control character here, which YAML does not allow. Remove it."
            raise SpecificationProblems([Problem(*_end_of(text[:position]), message)])
        if "\ud800" <= character <= "\udfff" or character in "\ufffe\uffff":
            message = "There is a character here that is not valid Unicode. Remove it."
            raise SpecificationProblems([Problem(*_end_of(text[:position]), message)])
    if len(text.encode()) > MAX_BYTES:
        message = (
            f"The file is larger than {MAX_BYTES // 1024} KiB. A pb_project.yaml is a few KiB; is this the right file?"
        )
        raise SpecificationProblems([Problem(1, 1, message)])


def _verify_depth(text: str) -> None:
    """Count nesting and values on the event stream: composing recurses in C, so depth must be known before."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SpecificationProblems([_too_deep(*_from_one(event.start_mark))])
        if number > 4 * MAX_VALUES:
            raise SpecificationProblems([_too_many(*_from_one(event.start_mark))])


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = _from_one(mark)
    lines = text.splitlines()
    there = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    if there.startswith("\t"):
        return Problem(line, column, "There is a tab here. YAML is indented with spaces; replace the tab by spaces.")
    if "another document" in str(error.problem):
        return Problem(line, column, "A second document (`---`) starts here. Keep one document in the file.")
    reason = f"{error.context}, {error.problem}" if error.context else str(error.problem)
    return Problem(line, column, f"YAML cannot be read here ({reason}). Check the indentation, quotes and colons.")


def _resolved(text: str) -> Json:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _too_deep(line: int, column: int) -> Problem:
    return Problem(line, column, f"Values are nested more than {MAX_DEPTH} deep here. Flatten this part.")


def _too_many(line: int, column: int) -> Problem:
    return Problem(line, column, f"There are more than {MAX_VALUES:,} values (aliases counted). Shorten the file.")


def _from_one(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _end_of(text: str) -> tuple[int, int]:
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1
