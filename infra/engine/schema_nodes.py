"""Parts of a JSON schema, as pure functions: merging two, the ways to satisfy one, small values of one type.

A value given here is a candidate: ``infra.engine.schema`` checks it against the whole node.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError, validators

from infra.engine.pattern import holds_match, short_match

Node = Mapping[str, Any]

MAX_ITEMS = 256
MAX_CHARS = 65_536

_FORMATS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "a@a.aa",
    "uri": "a:",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "hostname": "a",
}
_TYPE_OF_KEYWORD = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "exclusiveMinimum": "number",
    "multipleOf": "number",
}


def _pattern(_: Any, pattern: str, value: Any, __: Node) -> Iterator[ValidationError]:  # noqa: ANN401 - jsonschema's shape
    if isinstance(value, str) and not holds_match(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


Validator = cast("Any", validators).extend(Draft202012Validator, {"pattern": _pattern})
"""Draft 2020-12, with ``pattern`` bounded in time: a pattern that takes too long, or is none, matches nothing."""


def without(node: Node, *names: str) -> dict[str, Any]:
    """Return ``node`` without the keywords ``names``."""
    return {name: value for name, value in node.items() if name not in names}


def merged(one: Node, two: Node) -> dict[str, Any]:
    """Return both nodes in one, as far as that can be said without ``allOf``."""
    both = {**one, **two}
    if "required" in one and "required" in two:
        both["required"] = [*dict.fromkeys([*one["required"], *two["required"]])]
    if "properties" in one and "properties" in two:
        shared = {
            name: {"allOf": [one["properties"][name], part]}
            for name, part in two["properties"].items()
            if name in one["properties"]
        }
        both["properties"] = {**one["properties"], **two["properties"], **shared}
    for name, choose in (
        ("minimum", max),
        ("minLength", max),
        ("minItems", max),
        ("maximum", min),
        ("maxLength", min),
        ("maxItems", min),
    ):
        if name in one and name in two:
            both[name] = choose(one[name], two[name])
    return both


def branches_of(node: Node) -> list[Node]:
    """Return the ways to satisfy ``node``: its ``anyOf``/``oneOf`` or its several types, each with the rest of it."""
    for word in ("anyOf", "oneOf"):
        if word in node:
            rest = without(node, word)
            return [
                merged(rest, cast("Node", branch)) if isinstance(branch, Mapping) else rest
                for branch in node[word]
                if branch is not False
            ]
    types = types_of(node)
    return [{**node, "type": kind} for kind in types] if len(types) > 1 else []


def types_of(node: Node) -> list[str]:
    """Return the types ``node`` names, else the one its keywords speak of, else null."""
    given = node.get("type")
    if given is None:
        given = next((kind for word, kind in _TYPE_OF_KEYWORD.items() if word in node), "null")
    return [given] if isinstance(given, str) else list(given)


def count_of(node: Node, keyword: str) -> int:
    """Return the number that ``keyword`` says, by default 0, at most ``MAX_ITEMS``."""
    return int(min(node.get(keyword, 0), MAX_ITEMS))


def json_chars(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Return how long ``value`` is as JSON."""
    return len(json.dumps(value))


def variants(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    """Yield values like ``value``, each another, for lists of unique items."""
    if isinstance(value, str):
        yield from (value + "a" * n for n in range(1, MAX_ITEMS))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from (value + n for n in range(1, MAX_ITEMS))


def small_strings(node: Node) -> Iterator[str]:
    """Yield texts that may satisfy ``node``, the shortest there is room for."""
    chars = int(min(node.get("minLength", 0), MAX_CHARS))
    if node.get("format") in _FORMATS:
        yield _FORMATS[node["format"]]
    if "pattern" in node:
        found = short_match(node["pattern"], chars)
        yield from () if found is None else (found,)
    yield "a" * chars


def small_numbers(node: Node, *, whole: bool) -> Iterator[float]:
    """Yield numbers that may satisfy ``node``, those near 0 first, integers before others."""
    low = max((node[k] for k in ("minimum", "exclusiveMinimum") if k in node), default=None)
    high = min((node[k] for k in ("maximum", "exclusiveMaximum") if k in node), default=None)
    near = [0.0, *_near_bounds(low, high, node.get("multipleOf", 1))]
    integers = [int(value) for value in near if value == int(value)]
    yield from sorted(integers, key=abs)
    if not whole:
        yield from sorted(near, key=abs)


def _near_bounds(low: float | None, high: float | None, step: float) -> Iterator[float]:
    """Yield the bounds and what lies right inside them, in steps of 1 and of ``step``; nothing of infinite ones."""
    if low is not None and math.isfinite(low / step):
        multiple = math.ceil(low / step) * step
        yield from (math.ceil(low), math.ceil(low) + 1, multiple, multiple + step, low)
    if high is not None and math.isfinite(high / step):
        multiple = math.floor(high / step) * step
        yield from (math.floor(high), math.floor(high) - 1, multiple, multiple - step, high)
    if low is not None and high is not None and math.isfinite(low + high):
        yield (low + high) / 2
