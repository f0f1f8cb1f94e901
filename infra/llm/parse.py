"""Reading a model's JSON reply, which is hostile until it is read.

Gives `readings`: every way a text can be read as JSON, best first, for the caller to validate: the whole text; what
stands in code fences; the arguments of a raw ``<tool_call>``; any object inside prose, the first one first; and an
object that was cut, closed after its last whole element (a value that was cut in the middle is left out, never
completed). What a model thinks aloud (``<think>``) is read last, and only where nothing follows it. Raw control
characters inside strings are accepted; every control character but tab and newline becomes a space, a lone surrogate a
question mark. Python's dictionaries, trailing commas and comments are not JSON and are not read: the repair asks for
JSON. Sizes, nesting and the number of readings are bounded; no input raises.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, Union

MAX_CHARS = 400_000
MAX_DEPTH = 64
_MAX_STARTS = 24
_MAX_CUTS = 8
_MAX_CLOSED = 3  # objects looked at for a place to cut: each costs a walk through the rest of the text
_FENCE = re.compile(r"```[A-Za-z]*\s*\n?(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_CONTROL = {code: " " for code in range(32) if chr(code) not in "\t\n"} | {127: " "}
_CLOSING = {"{": "}", "[": "]"}

Json: TypeAlias = Union[dict[str, "Json"], list["Json"], str, int, float, bool, None]  # noqa: UP007 - it names itself


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a reply; `whole` is False when a part of it was cut off."""

    value: Json
    whole: bool


def readings(text: str) -> Iterator[Reading]:
    """Give the ways ``text`` can be read as JSON, best first; none when there is none or it is too long."""
    if len(text) > MAX_CHARS:
        return
    said = _THOUGHT.sub("", text, count=1)
    yield from _readings(said if said.strip() else text)


def _readings(text: str) -> Iterator[Reading]:
    yield from _whole(text.strip())
    for fenced in _FENCE.findall(text)[:_MAX_STARTS]:
        yield from _whole(fenced.strip())
    for called in _TOOL_CALL.findall(text)[:_MAX_STARTS]:
        yield from _arguments(called.strip())
    yield from _inside(text)


def _whole(text: str) -> Iterator[Reading]:
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        return
    if _shallow(value):
        yield Reading(cleaned(value), whole=True)


def _arguments(text: str) -> Iterator[Reading]:
    """Read a tool call written as text, which is a name and the object that was asked for."""
    for reading in (*_whole(text), *_inside(text)):
        if isinstance(reading.value, dict) and "arguments" in reading.value:
            arguments = reading.value["arguments"]
            if isinstance(arguments, str):  # some models write the object as a string of JSON
                yield from _whole(arguments)
            else:
                yield Reading(arguments, reading.whole)


def _inside(text: str) -> Iterator[Reading]:
    """Read the objects inside other text; where one was cut, what is left of it and nothing after it."""
    at, left = text.find("{"), _MAX_CLOSED
    for _ in range(_MAX_STARTS):
        if at < 0:
            return
        try:
            value, end = _raw_decode(text, at)
        except (ValueError, RecursionError):
            closed = list(_closed(text[at:])) if left else []
            yield from closed
            if closed:
                return
            left, end = max(0, left - 1), at + 1
        else:
            if _shallow(value):
                yield Reading(cleaned(value), whole=True)
        at = text.find("{", end)


def _closed(text: str) -> Iterator[Reading]:
    """Read an object that was cut: closed at its end if it may end there, else after its last whole elements."""
    cuts = _places_to_cut(text)
    for end, stack in reversed(cuts[-_MAX_CUTS:]):
        for reading in _whole(text[:end] + "".join(_CLOSING[c] for c in reversed(stack))):
            yield Reading(reading.value, whole=False)


def _places_to_cut(text: str) -> list[tuple[int, str]]:
    """Return where an element has just ended (before a comma, after a bracket), with the brackets open there."""
    places: list[tuple[int, str]] = []
    stack, quoted, escaped = "", False, False
    for position, char in enumerate(text):
        if quoted:
            quoted, escaped = escaped or char != '"', not escaped and char == "\\"
        elif char == '"':
            quoted = True
        elif char in _CLOSING and len(stack) < MAX_DEPTH:
            stack += char
        elif char in "]}" and stack:
            stack = stack[:-1]
            places.append((position + 1, stack))
        elif char == ",":
            places.append((position, stack))
    return places


def _shallow(value: Json, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return all(_shallow(item, depth + 1) for item in inner)


def cleaned(value: Json) -> Json:
    """Return a JSON value whose texts hold no control characters and can be UTF-8."""
    if isinstance(value, str):
        text = value.translate(_CONTROL)
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {str(cleaned(key)): cleaned(item) for key, item in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


def _decode(text: str) -> Json:
    return _DECODER.decode(text)


def _raw_decode(text: str, at: int) -> tuple[Json, int]:
    return _DECODER.raw_decode(text, at)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
