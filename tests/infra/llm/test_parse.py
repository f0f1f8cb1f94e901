"""Reading hostile replies as JSON."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm import parse
from infra.llm.parse import MAX_CHARS, MAX_DEPTH, MAX_VALUES, Reading, accepted, readings

ANSWER = {"kind": "lookup", "steps": [{"id": "q1"}]}
TEXT = json.dumps(ANSWER)
TAGS = ["<tool_call>", "</tool_call>", "<think>", "</think>", '"arguments":']
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
        f'<tool_call>{{"name": "plan", "arguments": {json.dumps(TEXT)}}}</tool_call>',
        f'<tool_call>{{"name": "a", "arguments": {{}}}}</tool_call><tool_call>{{"name": "b", "arguments": {TEXT}}}',
        f"```json {TEXT}```",
        f"```json\n{TEXT}",
        f"```python\n{{}}\n```\nand\n```json\n{TEXT}\n```",
        f"maybe {{this}} or {{}}</think>{TEXT}",
        f"<think>{TEXT}",
        f"<think>{TEXT}</think>\n",
        f"\ufeff{TEXT}",
        f"[{TEXT}]",
        TEXT + TEXT,
    ],
)
def test_an_object_is_found_whatever_wraps_it(wrapped: str) -> None:
    assert ANSWER in [reading.value for reading in readings(wrapped) if reading.whole]


def test_raw_control_characters_become_spaces_but_tabs_and_newlines_stay() -> None:
    assert first('{"a": "x\x00y\x1b[31m\tz\n\r"}') == {"a": "x y [31m\tz\n "}
    assert first('{"a\\u0007": "\\u001b\\u0000ok"}') == {"a ": "  ok"}


@pytest.mark.parametrize("raw", ['{"a": "x\ud83dy", "\ud800": 1}', r'{"a": "x\ud83dy", "\ud800": 1}'])
def test_a_lone_surrogate_becomes_a_question_mark(raw: str) -> None:
    assert first(raw) == {"a": "x?y", "?": 1}
    assert first(r'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}


def test_the_first_of_several_objects_comes_first_and_of_a_key_given_twice_the_last_one_holds() -> None:
    assert [r.value for r in readings('One {"a": 1} or {"a": 2}?')] == [{"a": 1}, {"a": 2}]
    assert first('{"a": 1, "a": 2}') == {"a": 2}


def test_what_follows_a_thought_is_read_and_not_the_thought() -> None:
    assert [r.value for r in readings('<think>{"a": 1}</think> so {"a": 2}')] == [{"a": 2}]
    assert first('{"a": "say </think> {}"}') == {"a": "say </think> {}"}


def test_a_comma_at_the_end_reads_as_a_cut_and_what_python_prints_is_not_read() -> None:
    assert list(readings('{"a": 1,}')) == [Reading({"a": 1}, whole=False)]
    assert list(readings("{'a': 1, 'b': True}")) == []


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
        ('<tool_call>{"arguments": "{\\"a\\": 1}", "name": "f', {"a": 1}),
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
    [
        "",
        "   ",
        "no json here",
        "{",
        "{{{{",
        "NaN",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 5_000 + "}",
        "<think>never mind",
        "<think></think>",
        "<tool_call></tool_call>",
        '<tool_call>{"arguments": "{no',
    ],
)
def test_what_is_no_json_has_no_readings(text: str) -> None:
    assert list(readings(text)) == []


def test_sizes_and_nesting_are_bounded() -> None:
    assert list(readings('{"a": "' + "x" * MAX_CHARS + '"}')) == []
    assert list(readings("{}" * 5_000_000)) == []
    for deep in ("[" * 100_000 + "]" * 100_000, '{"a":' * 1_000 + "1" + "}" * 1_000, '{"a":[' * 5_000, "{" * 50_000):
        assert not [reading for reading in readings(deep) if reading.whole]
    assert len(list(readings("{} " * 1_000))) <= 30


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the texts that were decoded as a whole."""
    texts: list[str] = []

    def whole(text: str, *, whole: bool = True, read: Any = parse._whole) -> Any:
        texts.append(text)
        return read(text, whole=whole)

    monkeypatch.setattr(parse, "_whole", whole)
    return texts


def test_what_is_nested_too_deeply_is_not_looked_through_for_a_place_to_cut(tried: list[str]) -> None:
    assert first(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    assert first(nested(MAX_DEPTH + 1)) is None
    tried.clear()
    assert first('{"a":[' * MAX_DEPTH + "1,") is None
    assert len(tried) == 1


def held(value: Any) -> int:
    """Return how many values a value holds, itself among them."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(held, inner))


def listing(values: int) -> str:
    """Return an object that holds this many values, itself and its list among them."""
    return json.dumps({"a": [1] * (values - 2)})


def test_a_value_that_holds_too_much_is_not_read_and_nothing_after_it(tried: list[str]) -> None:
    assert list(readings(listing(MAX_VALUES + 9)[:-2])) == []
    assert len(tried) == 2
    assert held(first(listing(MAX_VALUES))) == MAX_VALUES
    assert list(readings(listing(MAX_VALUES + 1))) == []
    assert [held(r.value) for r in readings(f"{TEXT} {listing(MAX_VALUES)} {TEXT}")] == [held(ANSWER)]
    assert list(accepted(json.loads(listing(MAX_VALUES))))
    assert list(accepted(json.loads(listing(MAX_VALUES + 1)))) == []


@pytest.mark.parametrize("times", [1, 12, 24])
@pytest.mark.parametrize("mark", ["", "<tool_call>", "```", "</think>"])
@pytest.mark.parametrize("end", ["", "1]}", "1]}</tool_call>", "1]}```"])
def test_all_readings_of_a_text_hold_a_bounded_number_of_values(times: int, mark: str, end: str) -> None:
    one = f'{mark}{{"arguments":{{"a":[{"1," * (90_000 // times)}{end}'
    two = f'{mark}{{"a":[{"1," * (9_000 // times)}{end}'
    for text in (one * times, two * times):
        assert sum(held(reading.value) for reading in readings(text)) <= MAX_VALUES


def test_a_value_decoded_elsewhere_is_held_to_the_same_rules() -> None:
    deep: Any = {}
    for _ in range(800):
        deep = {"a": deep}
    assert list(accepted(deep)) == list(accepted({"a": float("nan")})) == list(accepted([float("inf")])) == []
    assert list(accepted({"a": "x\x00\ud800"})) == [Reading({"a": "x ?"}, whole=True)]


class CountingDecoder(json.JSONDecoder):
    """Counts the characters it is given to read."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.chars = 0

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        self.chars += len(s) - idx
        return super().raw_decode(s, idx)


@pytest.mark.parametrize(
    "piece",
    [
        *["{", "[", '"', "{}", '{"', "[{", '{"a":', '{"a":1,', '{"a":[1],', '{"a":"}', "{'a':1},", "\\", "\ud800"],
        *[
            "<tool_call>",
            "<tool_call>{",
            '<tool_call>{"a":1,',
            '<tool_call>{"arguments":1}',
            "</tool_call>",
            "<think>",
            "</think>",
            "</think>{",
        ],
        *["```", "```{", "``` ", "```a", '```{"a":1,'],
    ],
)
def test_the_work_on_a_hostile_text_grows_with_its_length_only(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []

    def places_to_cut(text: str, walk: Any = parse._places_to_cut) -> Any:
        walked.append(len(text))
        return walk(text)

    decoder = CountingDecoder()
    monkeypatch.setattr(parse, "_DECODER", decoder)
    monkeypatch.setattr(parse, "_places_to_cut", places_to_cut)
    for text in (piece * (MAX_CHARS // len(piece)), f"{piece}{' ' * 190_000}", f"{piece}{'a' * 190_000}"):
        decoder.chars = 0
        walked.clear()
        found = list(readings(text))
        assert len(found) <= 600
        assert decoder.chars <= 120 * len(text)
        assert sum(walked) <= 12 * len(text)


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
@given(st.lists(st.sampled_from([*'{}[]",:\\ab1\x00\n\ud800', *TAGS, "```", '{"a":', "é"]), max_size=80))
def test_no_text_raises(pieces: list[str]) -> None:
    assert len(list(readings("".join(pieces)))) < 1_000


@settings(max_examples=50)
@given(
    st.text(st.characters(exclude_categories=[]), max_size=200)
    | st.binary(max_size=200).map(lambda b: b.decode("latin-1"))
)
def test_any_text_is_read_or_refused_and_what_is_read_can_be_sent(text: str) -> None:
    for shape in (text, json.dumps({"a": text}), f'{{"a": "{text}", "b": 1', f"<tool_call>{text}", f"<think>{text}"):
        for reading in readings(shape):
            json.dumps(reading.value, ensure_ascii=False).encode()
