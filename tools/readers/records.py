"""JSON and JSON Lines: each record a unit that begins with its key path, one ``path: value`` line a value.

A section is a key of the outermost object; values that stand there alone come first, together. Numbers are written as
they stand in the file. No depth of nesting is a danger, and no long key makes the text much longer than the file.
"""

import json
from collections.abc import Iterator
from typing import TypeAlias

from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.source import Source

Json: TypeAlias = "dict[str, Json] | list[Json] | str | bool | None"
"""A JSON value as it is parsed here: numbers stay strings, as they are written."""

KEY_CHARS = 80
PATH_CHARS = 160


def read_json(source: Source) -> Extracted:
    """Read a JSON file."""
    value = _parsed(source.text())
    outline = Outline()
    title: Json = ""
    if isinstance(value, dict):
        _add_object(outline, value)
        title = value.get("title", "")
    elif isinstance(value, list):
        _add_records(outline, (_record(f"[{number}]", item) for number, item in enumerate(value)))
    else:
        outline.block(_written(value))
    return outline.extracted(" ".join(clean(title).split()) if isinstance(title, str) else "", source.name)


def read_jsonl(source: Source) -> Extracted:
    """Read a file of one JSON value a line; a record's path is its line's number, counted from 1."""
    outline = Outline()
    lines = enumerate(source.text().split("\n"), start=1)
    _add_records(outline, (_record(f"line {number}", _parsed(line)) for number, line in lines if line.strip()))
    return outline.extracted("", source.name)


def _parsed(text: str) -> Json:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _add_object(outline: Outline, value: dict[str, Json]) -> None:
    alone = {key: part for key, part in value.items() if _is_plain(part)}
    _add_records(outline, (_record(_key(key), part) for key, part in alone.items()))
    for key, part in value.items():
        if key not in alone:
            outline.under(1, _key(key))
            _add_records(outline, (_record(path, inner) for path, inner in _parts(_key(key), part)))


def _add_records(outline: Outline, records: Iterator[str]) -> None:
    texts = [record for record in records if record]
    if texts:
        outline.table(texts)


def _record(path: str, value: Json) -> str:
    """The text of one record; "" when it holds nothing."""
    if _is_plain(value):
        return f"{path}: {_written(value)}" if _written(value) else ""
    lines = [f"{inner}: {text}" for inner, text in _leaves(value)]
    return "\n".join([path, *lines]) if lines else ""


def _leaves(value: Json) -> Iterator[tuple[str, str]]:
    """Path and text of every value inside, in order."""
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        path, part = stack.pop()
        if not _is_plain(part):
            stack += list(_parts(path, part))[::-1]
        elif text := _written(part):
            yield path, text


def _parts(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from ((_cut(f"{path}.{_key(key)}" if path else _key(key)), part) for key, part in value.items())
    elif isinstance(value, list):
        yield from ((_cut(f"{path}[{number}]"), part) for number, part in enumerate(value))


def _is_plain(value: Json) -> bool:
    """Whether it goes on one line: a value that holds no others, or an array of such."""
    if isinstance(value, list):
        return not any(isinstance(part, dict | list) for part in value)
    return not isinstance(value, dict)


def _written(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(_written(part) for part in value)
    return clean(value).strip() if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    return " ".join(clean(key).split())[:KEY_CHARS]


def _cut(path: str) -> str:
    return path if len(path) <= PATH_CHARS else f"…{path[-PATH_CHARS:]}"
