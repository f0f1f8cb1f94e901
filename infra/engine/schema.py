"""JSON schemas as the engine's grammar: the smallest value a schema takes, and a value fitted to a schema.

Understands local ``$ref``, ``const``, ``enum``, ``anyOf``/``oneOf``/``allOf``, types, bounds, lengths, ``required`` and
common formats; patterns as far as ``infra.engine.pattern`` finds a text. Every value given is checked with jsonschema; a
schema for which none is found is refused as vLLM refuses a grammar. Work is bounded, and nothing outside the schema is fetched.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from infra.engine.pattern import shortest_match
from infra.engine.refusal import RefusedError

Node = Mapping[str, Any]
Opened = frozenset[str]

MAX_STEPS = 5_000
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


class _NoValueError(Exception):
    """No value of this node was found, or only through the node itself."""


class Schema:
    """One JSON schema.

    Args:
        root: the schema; local references are resolved in it.

    Raises:
        RefusedError: ``root`` is not a JSON schema.
    """

    def __init__(self, root: Node) -> None:
        try:
            Draft202012Validator.check_schema(root)
        except SchemaError as error:
            raise RefusedError(f"Grammar error: {error.message}") from error
        except RecursionError as error:
            raise RefusedError("Grammar error: the schema is nested too deeply") from error
        self._root = root
        self._validator = Draft202012Validator(root, registry=Registry())
        self._steps = 0

    def smallest(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the smallest valid value found.

        Raises:
            RefusedError: none was found.
        """
        self._steps = 0
        try:
            return self._first(self._root, frozenset())
        except (_NoValueError, RecursionError) as error:
            raise RefusedError("Grammar error: found no value that satisfies the schema") from error

    def fit(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a valid value that keeps of ``value`` what the schema has room for; the rest is the smallest.

        Raises:
            RefusedError: none was found.
        """
        self._steps = 0
        try:
            fitted = self._fit(value, self._root, frozenset())
        except (_NoValueError, RecursionError):
            return self.smallest()
        return fitted if self.accepts(fitted) else self.smallest()

    def accepts(self, value: Any, node: Node | bool | None = None) -> bool:  # noqa: ANN401 - any JSON value
        """Return whether ``value`` is valid against ``node``, by default the whole schema."""
        validator = self._validator if node is None else self._validator.evolve(schema=node)
        try:
            return bool(validator.is_valid(value))
        except (RecursionError, Unresolvable):
            return False

    def resolve(self, node: Node | bool, opened: Opened = frozenset()) -> tuple[Node, Opened]:
        """Return ``node`` with its references and ``allOf`` worked in, and the references that were opened on the way."""
        if isinstance(node, bool):
            return ({} if node else {"enum": []}), opened
        while "$ref" in node:
            ref = str(node["$ref"])
            if ref in opened:
                raise _NoValueError
            opened |= {ref}
            node = _merged(self._target(ref), _without(node, "$ref"))
        for part in node.get("allOf", ()):
            inner, opened = self.resolve(part, opened)
            node = _merged(_without(node, "allOf"), inner)
        return node, opened

    def _target(self, ref: str) -> Node:
        found: Any = self._root
        try:
            for step in ref.removeprefix("#").split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _NoValueError from error
        if not ref.startswith("#") or not isinstance(found, Mapping):
            raise _NoValueError
        return cast("Node", found)

    def _first(self, node: Node | bool, opened: Opened, used: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - any JSON value
        """The first candidate that is valid and not ``used``."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _NoValueError
        for value in self._candidates(node, opened):
            varied = chain([value], _variants(value)) if used else [value]
            for variant in varied:
                if variant not in used and self.accepts(variant, node):
                    return variant
        raise _NoValueError

    def _candidates(self, node: Node | bool, opened: Opened) -> Iterator[Any]:
        node, opened = self.resolve(node, opened)
        if "const" in node:
            yield node["const"]
            return
        if "enum" in node:
            yield from sorted(node["enum"], key=_json_chars)
            return
        branches = _branches(node)
        if not branches:
            yield from self._of_type(_types(node)[0], node, opened)
            return
        found: list[Any] = []
        for branch in branches:
            try:
                found.append(self._first(branch, opened))
            except _NoValueError:
                continue
        yield from sorted(found, key=_json_chars)

    def _of_type(self, kind: str, node: Node, opened: Opened) -> Iterator[Any]:
        if kind == "object":
            yield self._object(node, opened)
        elif kind == "array":
            yield self._array(node, opened)
        elif kind == "string":
            yield from _strings(node)
        elif kind in {"integer", "number"}:
            yield from _numbers(node, whole=kind == "integer")
        else:
            yield False if kind == "boolean" else None

    def _object(self, node: Node, opened: Opened) -> dict[str, Any]:
        properties: Node = node.get("properties", {})
        required = set(node.get("required", ()))
        optional = [name for name in properties if name not in required]
        missing = min(node.get("minProperties", 0), MAX_ITEMS) - len(required)
        fillers = [*optional, *(f"k{n}" for n in range(MAX_ITEMS))][: max(missing, 0)]
        names = [name for name in properties if name in required or name in fillers]
        names += [name for name in (*node.get("required", ()), *fillers) if name not in properties]
        others = node.get("additionalProperties", True)
        return {name: self._first(properties.get(name, others), opened) for name in names}

    def _array(self, node: Node, opened: Opened) -> list[Any]:
        first = [*node.get("prefixItems", ())]
        count = min(max(node.get("minItems", 0), 1 if "contains" in node else 0), MAX_ITEMS)
        items: list[Any] = []
        for n in range(count):
            inner = first[n] if n < len(first) else node.get("items", node.get("contains", True))
            items.append(self._first(inner, opened, items if node.get("uniqueItems") else ()))
        return items

    def _fit(self, value: Any, node: Node | bool, opened: Opened) -> Any:  # noqa: ANN401 - any JSON value
        original = node
        node, opened = self.resolve(node, opened)
        for branch in _branches(node):
            try:
                fitted = self._fit(value, branch, opened)
            except _NoValueError:
                continue
            if self.accepts(fitted, branch):
                return fitted
        if isinstance(value, dict) and "properties" in node:
            return self._fit_object(cast("dict[str, Any]", value), node)
        if isinstance(value, list) and "items" in node:
            return self._fit_array(cast("list[Any]", value), node)
        if isinstance(value, str) and "maxLength" in node:
            value = value[: node["maxLength"]]
        return value if self.accepts(value, original) else self._first(original, frozenset())

    def _fit_object(self, value: dict[str, Any], node: Node) -> dict[str, Any]:
        required = node.get("required", ())
        properties: Node = node["properties"]
        kept: dict[str, Any] = {}
        for name, inner in properties.items():
            if name in value:
                kept[name] = self._fit(value[name], inner, frozenset())
            elif name in required:
                kept[name] = self._first(inner, frozenset())
        others = node.get("additionalProperties", True)
        return kept | {name: self._first(others, frozenset()) for name in required if name not in kept}

    def _fit_array(self, value: list[Any], node: Node) -> list[Any]:
        inner = node["items"]
        plain = [item for item in value if isinstance(item, (dict, list)) or self.accepts(item, inner)]
        items = [self._fit(item, inner, frozenset()) for item in plain[: node.get("maxItems", len(plain))]]
        while len(items) < min(node.get("minItems", 0), MAX_ITEMS):
            items.append(self._first(inner, frozenset(), items if node.get("uniqueItems") else ()))
        return items


def _without(node: Node, *names: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in names}


def _merged(one: Node, two: Node) -> dict[str, Any]:
    """Both nodes in one, as far as that can be said without ``allOf``."""
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


def _branches(node: Node) -> list[Node]:
    """The ways to satisfy ``node``: its ``anyOf``/``oneOf`` or its several types, each with the rest of it."""
    for word in ("anyOf", "oneOf"):
        if word in node:
            rest = _without(node, word)
            return [
                _merged(rest, branch) if isinstance(branch, Mapping) else rest
                for branch in node[word]
                if branch is not False
            ]
    types = _types(node)
    return [{**node, "type": kind} for kind in types] if len(types) > 1 else []


def _types(node: Node) -> list[str]:
    given = node.get("type")
    if given is None:
        given = next((kind for word, kind in _TYPE_OF_KEYWORD.items() if word in node), "null")
    return [given] if isinstance(given, str) else list(given)


def _json_chars(value: Any) -> int:  # noqa: ANN401 - any JSON value
    return len(json.dumps(value))


def _variants(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        yield from (value + "a" * n for n in range(1, MAX_ITEMS))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from (value + n for n in range(1, MAX_ITEMS))


def _strings(node: Node) -> Iterator[str]:
    chars = min(node.get("minLength", 0), MAX_CHARS)
    if node.get("format") in _FORMATS:
        yield _FORMATS[node["format"]]
    if "pattern" in node:
        found = shortest_match(node["pattern"], chars)
        yield from () if found is None else (found,)
    yield "a" * chars


def _numbers(node: Node, *, whole: bool) -> Iterator[float]:
    low = max((node[k] for k in ("minimum", "exclusiveMinimum") if k in node), default=None)
    high = min((node[k] for k in ("maximum", "exclusiveMaximum") if k in node), default=None)
    step = node.get("multipleOf", 1)
    near = [0.0]
    if low is not None:
        multiple = math.ceil(low / step) * step
        near += [math.ceil(low), math.ceil(low) + 1, multiple, multiple + step, low]
    if high is not None:
        multiple = math.floor(high / step) * step
        near += [math.floor(high), math.floor(high) - 1, multiple, multiple - step, high]
    if low is not None and high is not None:
        near.append((low + high) / 2)
    integers = [int(value) for value in near if value == int(value)]
    yield from sorted(integers, key=abs)
    if not whole:
        yield from sorted(near, key=abs)
