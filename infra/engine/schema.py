"""JSON schemas as the engine's grammar: the smallest value a schema takes, and a value fitted to a schema.

Understands local ``$ref``, ``const``, ``enum``, ``anyOf``/``oneOf``/``allOf``, types, bounds, lengths, ``required`` and
common formats; patterns as far as ``infra.engine.pattern`` finds a text. Every value given is checked with jsonschema;
a schema for which none is found is refused as vLLM refuses a grammar. Work is bounded, and nothing outside the schema
is fetched.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from infra.engine.refusal import RefusedError
from infra.engine.schema_nodes import (
    MAX_ITEMS,
    Node,
    Validator,
    branches_of,
    count_of,
    json_chars,
    merged,
    small_numbers,
    small_strings,
    types_of,
    variants,
    without,
)

Opened = frozenset[str]

MAX_STEPS = 5_000

_NOTHING_FETCHED: Registry[Any] = Registry()


class _NoValueError(Exception):
    """No value of this node was found, or only through the node itself."""


_FAILURES = (_NoValueError, RecursionError, OverflowError)


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
        self._validator = Validator(root, registry=_NOTHING_FETCHED)
        self._steps = 0

    def smallest(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the smallest valid value found.

        Raises:
            RefusedError: none was found.
        """
        self._steps = 0
        try:
            return self._first(self._root, frozenset())
        except _FAILURES as error:
            raise RefusedError("Grammar error: found no value that satisfies the schema") from error

    def fit(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a valid value that keeps of ``value`` what the schema has room for; the rest is the smallest.

        Raises:
            RefusedError: none was found.
        """
        self._steps = 0
        try:
            fitted = self._fit(value, self._root, frozenset())
        except _FAILURES:
            return self.smallest()
        return fitted if self.accepts(fitted) else self.smallest()

    def accepts(self, value: Any, node: Node | bool | None = None) -> bool:  # noqa: ANN401 - any JSON value
        """Return whether ``value`` is valid against ``node``, by default the whole schema."""
        validator = self._validator if node is None else self._validator.evolve(schema=node)
        try:
            return bool(validator.is_valid(value))
        except (RecursionError, OverflowError, Unresolvable):
            return False

    def resolve(self, node: Node | bool, opened: Opened = frozenset()) -> tuple[Node, Opened]:
        """Return ``node`` with its references and ``allOf`` worked in, and the references opened on the way."""
        if isinstance(node, bool):
            return ({} if node else {"enum": []}), opened
        while "$ref" in node:
            ref = str(node["$ref"])
            if ref in opened:
                raise _NoValueError
            opened |= {ref}
            node = merged(self._target(ref), without(node, "$ref"))
        for part in node.get("allOf", ()):
            inner, opened = self.resolve(part, opened)
            node = merged(without(node, "allOf"), inner)
        return node, opened

    def _target(self, ref: str) -> Node:
        found: Any = self._root
        try:
            for step in ref.removeprefix("#").split("/")[1:]:
                name: Any = step.replace("~1", "/").replace("~0", "~")
                at: Any = found
                found = at[int(name) if isinstance(at, list) else name]
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
            varied = chain([value], variants(value)) if used else [value]
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
            yield from sorted(node["enum"], key=json_chars)
            return
        branches = branches_of(node)
        if not branches:
            yield from self._of_type(types_of(node)[0], node, opened)
            return
        found: list[Any] = []
        for branch in branches:
            try:
                found.append(self._first(branch, opened))
            except _NoValueError:
                continue
        yield from sorted(found, key=json_chars)

    def _of_type(self, kind: str, node: Node, opened: Opened) -> Iterator[Any]:
        if kind == "object":
            yield self._object(node, opened)
        elif kind == "array":
            yield self._array(node, opened)
        elif kind == "string":
            yield from small_strings(node)
        elif kind in {"integer", "number"}:
            yield from small_numbers(node, whole=kind == "integer")
        else:
            yield False if kind == "boolean" else None

    def _object(self, node: Node, opened: Opened) -> dict[str, Any]:
        properties: Node = node.get("properties", {})
        required = set(node.get("required", ()))
        optional = [name for name in properties if name not in required]
        missing = count_of(node, "minProperties") - len(required)
        fillers = [*optional, *(f"k{n}" for n in range(MAX_ITEMS))][: max(missing, 0)]
        names = [name for name in properties if name in required or name in fillers]
        names += [name for name in (*node.get("required", ()), *fillers) if name not in properties]
        others = node.get("additionalProperties", True)
        return {name: self._first(properties.get(name, others), opened) for name in names}

    def _array(self, node: Node, opened: Opened) -> list[Any]:
        first = [*node.get("prefixItems", ())]
        count = max(count_of(node, "minItems"), 1 if "contains" in node else 0)
        items: list[Any] = []
        for n in range(count):
            inner = first[n] if n < len(first) else node.get("items", node.get("contains", True))
            items.append(self._first(inner, opened, items if node.get("uniqueItems") else ()))
        return items

    def _fit(self, value: Any, node: Node | bool, opened: Opened) -> Any:  # noqa: ANN401 - any JSON value
        original = node
        node, opened = self.resolve(node, opened)
        ways = [fitted for branch in branches_of(node) for fitted in self._fit_branch(value, branch, opened)]
        if ways:  # the one that keeps most: all of the value, else its type
            return min(ways, key=lambda fitted: (fitted != value, type(fitted) is not type(value)))
        if isinstance(value, dict) and "properties" in node:
            return self._fit_object(cast("dict[str, Any]", value), node)
        if isinstance(value, list) and "items" in node:
            return self._fit_array(cast("list[Any]", value), node)
        if isinstance(value, str) and "maxLength" in node:
            value = value[: int(node["maxLength"])]
        return cast("Any", value) if self.accepts(value, original) else self._first(original, frozenset())

    def _fit_branch(self, value: Any, branch: Node, opened: Opened) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
        try:
            fitted = self._fit(value, branch, opened)
        except _NoValueError:
            return
        if self.accepts(fitted, branch):
            yield fitted

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
        plain: list[Any] = [item for item in value if isinstance(item, (dict, list)) or self.accepts(item, inner)]
        items = [self._fit(item, inner, frozenset()) for item in plain[: int(node.get("maxItems", len(plain)))]]
        while len(items) < count_of(node, "minItems"):
            items.append(self._first(inner, frozenset(), items if node.get("uniqueItems") else ()))
        return items
