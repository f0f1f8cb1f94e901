"""The smallest value of a schema is valid, a fitted one too, and what has none is refused in bounded time."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from infra.engine.refusal import RefusedError
from infra.engine.schema import Schema
from tests.infra.engine.desk import chat, make_engine

NONE_FOUND = "Grammar error: found no value that satisfies the schema"


class Leaf(BaseModel):
    kind: Literal["leaf", "twig"]
    weight: float = Field(gt=0, le=9)


class Tree(BaseModel):
    name: str = Field(min_length=2)
    leaves: list[Leaf] = Field(min_length=1)
    above: "Tree | None" = None
    note: str | int = ""


SMALLEST: list[tuple[dict[str, Any], Any]] = [
    ({}, None),
    ({"type": "object"}, {}),
    ({"type": "string"}, ""),
    ({"type": "integer"}, 0),
    ({"type": "boolean"}, False),
    ({"type": "array", "items": {"type": "integer"}}, []),
    ({"const": [1]}, [1]),
    ({"enum": ["long", "a", "b"]}, "a"),
    ({"type": ["string", "null"]}, ""),
    ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
    ({"type": "integer", "exclusiveMaximum": -2}, -3),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "string", "minLength": 3.0}, "aaa"),
    ({"type": "string", "pattern": "^[A-Z]{2}-[0-9]$"}, "AA-0"),
    ({"type": "string", "format": "date"}, "1970-01-01"),
    ({"type": "array", "minItems": 3, "uniqueItems": True, "items": {"type": "integer"}}, [0, 1, 2]),
    ({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "string"}}, ["", "a"]),
    ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2.0}, [1, 2]),
    ({"type": "array", "contains": {"const": 7}}, [7]),
    ({"type": "object", "minProperties": 2, "properties": {"a": {"type": "string"}}}, {"a": "", "k0": None}),
    ({"required": ["x"], "additionalProperties": {"type": "integer"}}, {"x": 0}),
    ({"anyOf": [{"type": "string", "minLength": 5}, {"type": "integer"}]}, 0),
    ({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 0}, {"const": "x"}]}, "x"),
    ({"allOf": [{"type": "integer", "minimum": 2}, {"minimum": 4}]}, 4),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
      "allOf": [{"properties": {"a": {"minimum": 2}, "b": True}, "required": ["b"]}]}, {"a": 2, "b": None}),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}}, ""),
    ({"$ref": "#/anyOf/1", "anyOf": [{}, {"const": 1}]}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value"), SMALLEST, ids=[str(schema)[:60] for schema, _ in SMALLEST])
def test_the_smallest_value_is_the_one_expected(schema: dict[str, Any], value: Any):
    assert Schema(schema).smallest() == value


IMPOSSIBLE: list[dict[str, Any]] = [
    {"not": {}},
    {"enum": []},
    {"type": "string", "minLength": 10**9},
    {"type": "integer", "minimum": 10**400},
    {"type": "number", "minimum": float("inf")},
    {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"const": 1}},
    {"$ref": "#"},
    {"$ref": "#/$defs/nothing"},
    {"$ref": "https://example.com/schema"},
    {"$ref": "#/type", "type": "object"},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"anyOf": [False, {"$ref": "#"}]},
    {"type": "string", "pattern": "^(a+)+b{300}$", "minLength": 2},
]


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=[str(schema)[:60] for schema in IMPOSSIBLE])
def test_a_schema_without_a_value_is_refused(schema: dict[str, Any]):
    with pytest.raises(RefusedError, match=NONE_FOUND):
        Schema(schema).smallest()
    with pytest.raises(RefusedError, match=NONE_FOUND):
        Schema(schema).fit({"a": 1})


@pytest.mark.parametrize("schema", [{"type": "nope"}, {"type": "string", "pattern": "("}, {"minLength": -1}])
def test_what_is_no_schema_is_refused(schema: dict[str, Any]):
    with pytest.raises(RefusedError, match="Grammar error: "):
        Schema(schema)


def test_a_schema_nested_without_end_is_refused():
    schema: dict[str, Any] = {}
    for _ in range(3_000):
        schema = {"not": schema}
    with pytest.raises(RefusedError, match="Grammar error: "):
        Schema(schema).smallest()


def test_a_model_of_pydantic_s_comes_back_valid():
    value = Schema(Tree.model_json_schema()).smallest()
    assert value == {"name": "aa", "leaves": [{"kind": "leaf", "weight": 1}]}
    Tree.model_validate(value)


def _bounded(kind: str, low: int, span: int) -> dict[str, Any]:
    return {"type": kind, "minimum": low, "maximum": low + span}


def _sized(shortest: int, more: int) -> dict[str, Any]:
    return {"type": "string", "minLength": shortest, "maxLength": shortest + more}


def _object(properties: dict[str, Any], required: set[str], closed: bool) -> dict[str, Any]:
    given = {"type": "object", "properties": properties, "required": sorted(required & properties.keys())}
    return {**given, "additionalProperties": not closed}


def _array(items: dict[str, Any], fewest: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": fewest, "maxItems": fewest + 2}


_PLAIN: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean", "null")),
    {"type": ["string", "null"]},
    {"$ref": "#/$defs/shared"},
    {"$ref": "#/$defs/loop"},
]
_LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(_PLAIN),
    st.builds(_bounded, st.sampled_from(["integer", "number"]), st.integers(-99, 99), st.integers(0, 9)),
    st.builds(_sized, st.integers(0, 9), st.integers(0, 9)),
    st.lists(st.text(max_size=5) | st.integers() | st.booleans(), min_size=1, max_size=4).map(lambda v: {"enum": v}),
)


def _grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from("abc")
    return st.one_of(
        st.builds(_object, st.dictionaries(names, inner, max_size=3), st.sets(names), st.booleans()),
        st.builds(_array, inner, st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
    )


_SHARED = {"shared": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}
_LOOP = {"loop": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#/$defs/loop"}}}]}}
_SCHEMAS = st.recursive(_LEAVES, _grown, max_leaves=6).map(lambda node: {**node, "$defs": _SHARED | _LOOP})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(_SCHEMAS, _VALUES)
def test_a_generated_schema_gets_valid_values(schema: dict[str, Any], value: Any):
    judge: Any = Draft202012Validator(schema)
    assert judge.is_valid(Schema(schema).smallest())
    assert judge.is_valid(Schema(schema).fit(value))


@settings(max_examples=50)
@given(_SCHEMAS, _VALUES)
def test_what_is_valid_and_known_to_the_schema_is_kept(schema: dict[str, Any], value: Any):
    fitted = Schema(schema).fit(value)
    assert Schema(schema).fit(fitted) == fitted


FITTED: list[tuple[dict[str, Any], Any, Any]] = [
    ({"type": "string", "maxLength": 3.0}, "hello", "hel"),
    ({"type": "array", "items": {"type": "string"}, "maxItems": 2}, ["a", 1, "b", "c"], ["a", "b"]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": True}, [4], [4, 0]),
    ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "x", "b": "y"}, {"a": "x"}),
    (
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "z"]},
        {"a": 1},
        {"a": "", "z": None},
    ),
    (
        {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "string"}}}]},
        {"a": "x"},
        {"a": "x"},
    ),
    ({"type": "integer", "minimum": 3}, 1, 3),
    ({"type": "object", "properties": {"a": {"const": 1}}, "maxProperties": 0}, {"a": 1}, {}),
]


@pytest.mark.parametrize(("schema", "value", "fitted"), FITTED, ids=[str(schema)[:60] for schema, _, _ in FITTED])
def test_a_value_keeps_what_the_schema_has_room_for(schema: dict[str, Any], value: Any, fitted: Any):
    assert Schema(schema).fit(value) == fitted


def test_an_unknown_schema_is_answered_with_its_smallest_value():
    form = {"type": "json_schema", "json_schema": {"name": "tree", "schema": Tree.model_json_schema()}}
    reply = chat(make_engine(), response_format=form)
    assert reply.message["content"] == '{"name": "aa", "leaves": [{"kind": "leaf", "weight": 1}]}'


def test_other_constraints_get_the_least_they_allow():
    engine = make_engine()
    assert chat(engine, response_format={"type": "json_object"}).message["content"] == "{}"
    assert chat(engine, response_format={"type": "text"}).message["content"].startswith("I am DocMind's")
    assert chat(engine, structured_outputs={"choice": ["no", "yes"]}).message["content"] == "no"
    assert chat(engine, structured_outputs={"json": {"const": 4}}).message["content"] == "4"
