"""Reading a model's JSON reply, which is hostile until it is read.

Gives `readings`: every way a text can be read as JSON, best first, for the caller to validate: the whole text; what
follows a thought (``<think>``, or only its ``</think>``); what stands in code fences; the arguments of a raw
``<tool_call>``; any object inside prose, the first one first; and an object that was cut, closed after its last whole
element (a value that was cut in the middle is left out, never completed). Thoughts are read only where nothing follows
them. Gives `accepted` for a value that somebody else has decoded.

Raw control characters inside strings are accepted; every ASCII control character but tab and newline becomes a space, a
lone surrogate a question mark. Of a key given twice the last one holds. NaN and infinite numbers are refused. Python's
dictionaries, comments and trailing commas are not JSON: the first two are not read, so that a repair asks for JSON; a
comma at an object's end reads as if the object had been cut there.

No input raises. Sizes, nesting and the number of readings are bounded, and so is the number of values that all readings
of a text hold together: whoever validates them finds no more faults than that. The work grows with the text's length:
no regular expression is used here, because a hostile text makes those slow.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from string import ascii_letters
from typing import TypeAlias, Union

MAX_CHARS = 200_000
MAX_DEPTH = 64
MAX_VALUES = 20_000  # objects, lists, texts and numbers; a reply of 3,000 tokens holds some hundreds
_MAX_STARTS = 24
_MAX_CUTS = 8
_MAX_CLOSED = 3  # objects looked at for a place to cut: each costs a walk through the rest of the text
_THOUGHT = "</think>"
_CALL, _CALLED = "<tool_call>", "</tool_call>"
_FENCE = "```"
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
    left = MAX_VALUES
    for found in _found(text) if len(text) <= MAX_CHARS else ():
        values, is_sound = _measured(found.value, left)
        left -= values
        if left < 0:
            return
        if is_sound:
            yield Reading(_cleaned(found.value), found.whole)


def _found(text: str) -> Iterator[Reading]:
    """Give what can be decoded, as it is."""
    yield from _whole(text)
    said = _said(text)
    if said is not text:
        yield from _whole(said)
    for fenced in said.split(_FENCE, 2 * _MAX_STARTS)[1::2]:
        yield from _whole(fenced.lstrip(ascii_letters))
    for called in said.split(_CALL, _MAX_STARTS)[1:]:
        yield from _arguments(called.partition(_CALLED)[0])
    yield from _inside(said)


def accepted(value: Json) -> Iterator[Reading]:
    """Give the reading of a value that somebody else has decoded; none where it holds too much or what JSON has not."""
    values, is_sound = _measured(value, MAX_VALUES)
    if is_sound and values <= MAX_VALUES:
        yield Reading(_cleaned(value), whole=True)


def _said(text: str) -> str:
    """Return what follows a thought; the whole text where there is no thought, or nothing after it."""
    _, closed, said = text.partition(_THOUGHT)
    return said if closed and said.strip() else text


def _whole(text: str, *, whole: bool = True) -> Iterator[Reading]:
    try:
        value = _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return
    yield Reading(value, whole)


def _arguments(text: str) -> Iterator[Reading]:
    """Read a tool call written as text, which is a name and the object that was asked for."""
    for reading in (*_whole(text), *_inside(text)):
        if isinstance(reading.value, dict) and "arguments" in reading.value:
            arguments = reading.value["arguments"]
            if isinstance(arguments, str):  # some models write the object as a string of JSON
                yield from _whole(arguments, whole=reading.whole)
            else:
                yield Reading(arguments, reading.whole)


def _inside(text: str) -> Iterator[Reading]:
    """Read the objects inside other text; where one was cut, what is left of it and nothing after it."""
    at, left = text.find("{"), _MAX_CLOSED
    for _ in range(_MAX_STARTS):
        if at < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            was_cut = False
            for reading in _closed(text[at:]) if left else ():
                was_cut = True
                yield reading
            if was_cut:
                return
            left, end = max(0, left - 1), at + 1
        else:
            yield Reading(value, whole=True)
        at = text.find("{", end)


def _closed(text: str) -> Iterator[Reading]:
    """Read an object that was cut: closed at its end if it may end there, else after its last whole elements."""
    for end, stack in reversed(_places_to_cut(text)):
        yield from _whole(text[:end] + "".join(_CLOSING[c] for c in reversed(stack)), whole=False)


def _places_to_cut(text: str) -> deque[tuple[int, str]]:
    """Return the last places where an element ended (before a comma, after a bracket), with the brackets open there.

    None where brackets are nested too deeply: nothing of that could be used.
    """
    places: deque[tuple[int, str]] = deque(maxlen=_MAX_CUTS)
    stack, quoted, escaped = "", False, False
    for position, char in enumerate(text):
        if quoted:
            quoted, escaped = escaped or char != '"', not escaped and char == "\\"
        elif char == '"':
            quoted = True
        elif char in _CLOSING:
            stack += char
            if len(stack) > MAX_DEPTH:
                return deque()
        elif char in "]}" and stack:
            stack = stack[:-1]
            places.append((position + 1, stack))
        elif char == ",":
            places.append((position, stack))
    return places


def _measured(value: Json, most: int) -> tuple[int, bool]:
    """Return how many values a value holds (counting ends above ``most``), and whether all of them can be used.

    What cannot be used: a number that JSON has not, and what is nested too deeply.
    """
    level, values = [value], 0
    for _ in range(MAX_DEPTH + 1):
        values += len(level)
        if values > most or any(isinstance(item, float) and not isfinite(item) for item in level):
            return values, False
        level = [inner for item in level for inner in _inner(item)]
        if not level:
            return values, True
    return values, False


def _inner(value: Json) -> Iterable[Json]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _cleaned(value: Json) -> Json:
    """Return a JSON value whose texts hold no control characters and can be UTF-8."""
    if isinstance(value, str):
        text = value.translate(_CONTROL)
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {str(_cleaned(key)): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


_DECODER = json.JSONDecoder(strict=False)
