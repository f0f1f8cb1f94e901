"""Reading hostile replies as JSON."""

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm import parse
from infra.llm.parse import MAX_CHARS, Reading, readings

ANSWER = {"kind": "lookup", "steps": [{"id": "q1"}]}
TEXT = json.dumps(ANSWER)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abc{}[]",', max_size=5), inner, max_size=3),
    max_leaves=12,
)


def first(text: str) -> Any:
    reading = next(readings(text), None)
    return reading.value if reading else None


@pytest.mark.parametrize(
    "wrapped",
    [
        TEXT,
        f"  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}```",
        f"Sure! Here is the JSON you asked for:\n\n{TEXT}\n\nI hope it helps {{truly}}.",
        f"<think>maybe {{this}} or [that]</think>\n{TEXT}",
        f'<tool_call>\n{{"name": "plan", "arguments": {TEXT}}}\n</tool_call>',
        f'<tool_call>{{"name": "plan", "arguments": {TEXT}}}',
        TEXT + TEXT,
    ],
)
def test_an_object_is_found_whatever_wraps_it(wrapped: str) -> None:
    assert ANSWER in [reading.value for reading in readings(wrapped) if reading.whole]


def test_raw_control_characters_become_spaces_but_tabs_and_newlines_stay() -> None:
    assert first('{"a": "x\x00y\x1b[31m\tz\n\r"}') == {"a": "x y [31m\tz\n "}
    assert first('{"a\\u0007": "\\u001b\\u0000ok"}') == {"a ": "  ok"}


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ('{"claims": [{"text": "one", "marks": ["E1"]}, {"text": "tw', {"claims": [{"text": "one", "marks": ["E1"]}]}),
        ('{"claims": [{"text": "one", "marks": ["E1"]}]', {"claims": [{"text": "one", "marks": ["E1"]}]}),
        ('{"a": 1, "b": "half a sen', {"a": 1}),
        ('{"a": 1, "b": 12', {"a": 1}),
        ('Sure: {"a": "x, {y}", "b": tr', {"a": "x, {y}"}),
        ('```json\n{"a": "q\\"u, o", "b": [1, 2', {"a": 'q"u, o', "b": [1]}),
        ('<tool_call>{"name": "f", "arguments": {"a": 1, "b": "ha', {"a": 1}),
    ],
)
def test_a_cut_object_keeps_its_whole_elements_only(cut: str, kept: dict[str, Any]) -> None:
    assert Reading(kept, whole=False) in list(readings(cut))
    assert not any(reading.whole for reading in readings(cut))


def test_an_object_inside_a_cut_one_is_not_taken_for_it() -> None:
    found = list(readings('{"claims": [{"text": "one"}, {"te'))
    assert found
    assert {json.dumps(reading.value) for reading in found} == {'{"claims": [{"text": "one"}]}'}


@pytest.mark.parametrize(
    "text",
    ["", "   ", "no json here", "{", "{{{{", "NaN", '{"a": NaN}', '{"a": Infinity}', '{"a": ' + "9" * 5_000 + "}"],
)
def test_what_is_no_json_has_no_readings(text: str) -> None:
    assert list(readings(text)) == []


def test_sizes_and_nesting_are_bounded() -> None:
    assert list(readings('{"a": "' + "x" * MAX_CHARS + '"}')) == []
    for deep in ("[" * 100_000 + "]" * 100_000, '{"a":' * 1_000 + "1" + "}" * 1_000, '{"a":[' * 5_000, "{" * 50_000):
        assert not [reading for reading in readings(deep) if reading.whole]
    assert len(list(readings("{} " * 1_000))) <= 30


@settings(max_examples=50)
@given(VALUES)
def test_every_json_value_is_read_back(value: Any) -> None:
    assert first(json.dumps(value)) == value


@settings(max_examples=50)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), VALUES, min_size=1, max_size=3), st.integers(1, 200))
def test_a_cut_at_any_place_never_raises_and_never_completes_a_value(value: dict[str, Any], at: int) -> None:
    text = json.dumps(value)[:at]
    for reading in readings(text):
        if isinstance(reading.value, dict) and not reading.whole:
            assert all(key in value for key in reading.value)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([*'{}[]",:\\ab1\x00\n', "<tool_call>", "```", '{"a":', "é"]), max_size=80))
def test_no_text_raises(pieces: list[str]) -> None:
    assert len(list(readings("".join(pieces)))) < 1_000


@pytest.mark.parametrize("piece", ["{", "[", '"', '{"a":', "<tool_call>", "```", "<think>", '{"a": [1, '])
def test_the_worst_texts_cost_a_few_walks_through_them(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walks = 0
    places = parse._places_to_cut

    def counted(text: str) -> deque[tuple[int, str]]:
        nonlocal walks
        walks += 1
        return places(text)

    monkeypatch.setattr(parse, "_places_to_cut", counted)
    found = list(parse.readings(piece * (parse.MAX_CHARS // len(piece))))
    assert walks <= 3 * 3
    assert len(found) <= 100
