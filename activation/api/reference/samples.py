"""Every call in curl, Python and JavaScript, made from the OpenAPI document.

A sample runs as it stands: what differs from reader to reader comes from the environment, and it fails when the call
does. Tests run the very text that the page shows.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.templatetags.components import Sample

URL, TOKEN = "ACTIVATION_URL", "ACTIVATION_TOKEN"
_PLACE = re.compile(r"<([a-z ]+)>")
_PART = re.compile(r"\{(\w+)\}")
# What a sample asks for in the query, where the call takes it.
_QUERY = {"per_page": "10", "dry_run": "true"}
_WIDEST = 64


@dataclass(frozen=True)
class Call:
    """What a sample says, whatever the language."""

    method: str
    path: str
    body: Any
    open: bool
    answer: str  # "json", "text" or nothing

    @property
    def variables(self) -> list[str]:
        """List the environment variables that the sample needs."""
        own = [variable(name) for name in _PART.findall(self.path)]
        own += [variable(name) for name in _PLACE.findall(json.dumps(self.body, ensure_ascii=False))]
        return list(dict.fromkeys([URL, *(() if self.open else (TOKEN,)), *own]))


def of(path: str, method: str, operation: dict[str, Any]) -> tuple[Call, list[Sample]]:
    """Return a call of the document and its samples."""
    call = _call(path, method, operation)
    texts = (("curl", "bash", _curl), ("Python", "python", _python), ("JavaScript", "javascript", _javascript))
    return call, [Sample(label, language, write(call)) for label, language, write in texts]


def variable(name: str) -> str:
    """Return the environment variable for a part of an address (`projectId`) or a place to fill in (`project id`)."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])| ", "_", name).upper()


def _call(path: str, method: str, operation: dict[str, Any]) -> Call:
    taken = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    query = "&".join(f"{name}={value}" for name, value in _QUERY.items() if name in taken)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    kinds = good.get("content", {})
    return Call(
        method=method.upper(),
        path=f"{path}?{query}" if query else path,
        body=content.get("schema", {}).get("example"),
        open=operation.get("security") is not None,
        answer="json" if "application/json" in kinds else "text" if kinds else "",
    )


def _curl(call: Call) -> str:
    path = _PART.sub(lambda part: f"${variable(part[1])}", call.path)
    lines = [f'curl --fail-with-body -X {call.method} "${URL}{path}"']
    if call.method == "GET":
        lines = [f'curl --fail-with-body "${URL}{path}"']
    if not call.open:
        lines.append(f'  -H "Authorization: Bearer ${TOKEN}"')
    if call.body is None:
        return " \\\n".join(lines)
    body = _literal(call.body, _IN_SHELL)
    return (
        " \\\n".join([*lines, '  -H "Content-Type: application/json"', "  --data-binary @- <<JSON"]) + f"\n{body}\nJSON"
    )


def _python(call: Call) -> str:
    path = _PART.sub(lambda part: f"{{env['{variable(part[1])}']}}", call.path)
    headers = {} if call.open else {"Authorization": f"f\"Bearer {{env['{TOKEN}']}}\""}
    arguments = [f"f\"{{env['{URL}']}}{path}\""]
    if call.method != "GET":
        arguments.append(f'method="{call.method}"')
    if call.body is not None:
        headers["Content-Type"] = '"application/json"'
    if headers:
        arguments.append("headers={" + ", ".join(f'"{name}": {value}' for name, value in headers.items()) + "}")
    if call.body is not None:
        arguments.append(f"data=json.dumps({_literal(call.body, _IN_PYTHON)}).encode()")
    inner = "".join(f"    {argument},\n".replace("\n", "\n    ").rstrip() + "\n" for argument in arguments)
    told = {"json": "print(json.dumps(json.load(answer)))", "text": "print(answer.read().decode())"}
    return (
        f"import json\nfrom os import environ as env\nfrom urllib.request import Request, urlopen\n\n"
        f"request = Request(\n{inner})\n"
        f"with urlopen(request, timeout=30) as answer:\n    {told.get(call.answer, 'print(answer.status)')}"
    )


def _javascript(call: Call) -> str:
    path = _PART.sub(lambda part: f"${{env.{variable(part[1])}}}", call.path)
    options = [] if call.method == "GET" else [f'method: "{call.method}"']
    headers = [] if call.open else [f"Authorization: `Bearer ${{env.{TOKEN}}}`"]
    if call.body is not None:
        headers.append('"Content-Type": "application/json"')
    if headers:
        options.append(f"headers: {{ {', '.join(headers)} }}")
    if call.body is not None:
        options.append(f"body: JSON.stringify({_literal(call.body, _IN_JAVASCRIPT)})")
    inner = "".join(f"  {option},\n".replace("\n", "\n  ").rstrip() + "\n" for option in options)
    asked = f"`${{env.{URL}}}{path}`" + (f", {{\n{inner}}}" if options else "")
    told = {"json": "JSON.stringify(await answer.json())", "text": "await answer.text()"}
    return (
        f"const {{ env }} = process;\n\nconst answer = await fetch({asked});\n"
        "if (!answer.ok) throw new Error(await answer.text());\n"
        f"console.log({told.get(call.answer, 'answer.status')});"
    )


@dataclass(frozen=True)
class _Language:
    """How a language writes values: those with a name of its own, texts, members' names, and the environment."""

    names: dict[Any, str]
    text: Callable[[str], str]
    member: Callable[[str], str]
    place: Callable[[str], str]
    space: str  # inside of an object's braces
    indent: str
    last_comma: bool


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _in_heredoc(text: str) -> str:
    """Write a text where the shell still replaces variables and reads backslashes before some characters."""
    return re.sub(r"[\\$`](?=[\\$`]|$)|[$`]", lambda found: "\\" + found[0], _json(text))


def _member(name: str) -> str:
    return name if name.isidentifier() else _json(name)


_JSON_NAMES: dict[Any, str] = {True: "true", False: "false", None: "null"}
_IN_SHELL = _Language(_JSON_NAMES, _in_heredoc, _json, lambda name: f'"${name}"', "", "  ", last_comma=False)
_IN_PYTHON = _Language(
    {True: "True", False: "False", None: "None"},
    _json,
    _json,
    lambda name: f'env["{name}"]',
    "",
    "    ",
    last_comma=True,
)
_IN_JAVASCRIPT = _Language(_JSON_NAMES, _json, _member, lambda name: f"env.{name}", " ", "  ", last_comma=True)


def _literal(value: Any, language: _Language, depth: int = 0) -> str:
    """Write a value in a language; on one line where there is room."""
    if isinstance(value, dict):
        items = [f"{language.member(name)}: {_literal(each, language, depth + 1)}" for name, each in value.items()]
        return _enclosed("{", items, "}", language, depth)
    if isinstance(value, list):
        return _enclosed("[", [_literal(each, language, depth + 1) for each in value], "]", language, depth)
    if isinstance(value, str):
        place = _PLACE.fullmatch(value)
        return language.place(variable(place[1])) if place else language.text(value)
    return language.names[value] if value is None or isinstance(value, bool) else str(value)


def _enclosed(start: str, items: list[str], end: str, language: _Language, depth: int) -> str:
    space = language.space if start == "{" and items else ""
    line = start + space + ", ".join(items) + space + end
    if len(line) + 2 * depth <= _WIDEST and "\n" not in line:
        return line
    inner, outer = "\n" + language.indent * (depth + 1), "\n" + language.indent * depth
    last = "," if language.last_comma else ""
    return start + inner + ("," + inner).join(items) + last + outer + end
