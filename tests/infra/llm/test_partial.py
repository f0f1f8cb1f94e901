"""The elements of a list are read while it is written, whatever a model writes, and in bounded work."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from infra.llm import partial
from infra.llm.ask import Asker
from infra.llm.parse import readings
from infra.llm.partial import MAX_ELEMENT_CHARS, MAX_ELEMENTS, MAX_GLANCES, MAX_READS, Elements
from tests.fakes import Said
from tests.infra.llm.bench import bench
from tests.infra.llm.test_guard_failover import pair


class Line(BaseModel):
    text: str
    marks: list[str] = []


class Lines(BaseModel):
    lines: list[Line]


def heard(pieces: Iterable[str]) -> list[list[Line]]:
    """Return what is told while ``pieces`` come."""
    told: list[list[Line]] = []
    elements = Elements("lines", Line, lambda lines, _: told.append(list(lines)))
    for piece in pieces:
        elements.said(piece)
    return told


def cut(text: str, at: Sequence[int]) -> list[str]:
    places = [0, *sorted(place % (len(text) + 1) for place in at), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


LINES = st.lists(
    st.builds(Line, text=st.text(max_size=30), marks=st.lists(st.text(max_size=4), max_size=2)), max_size=6
)
AT = st.lists(st.integers(min_value=0, max_value=10_000), max_size=30)


@given(LINES, AT, st.sampled_from([None, 1]), st.sampled_from(["", "```json\n", " \n"]))
def test_each_element_is_told_once_it_is_whole_however_the_reply_is_cut(
    lines: list[Line], at: list[int], indent: int | None, before: str
) -> None:
    text = before + json.dumps({"lines": [line.model_dump() for line in lines]}, indent=indent)
    told = heard(cut(text, at))
    (whole, *_) = [reading.value for reading in readings(text)]
    assert (told[-1] if told else []) == Lines.model_validate(whole).lines
    assert all(fewer == more[: len(fewer)] for fewer, more in pairwise(told))


@given(LINES.filter(bool))
def test_an_element_is_told_with_its_own_last_character(lines: list[Line]) -> None:
    written = ", ".join(line.model_dump_json() for line in lines)
    first = len('{"lines": [') + len(lines[0].model_dump_json())
    text = '{"lines": [' + written + "]}"
    assert heard(text[: first - 1]) == []
    assert [len(told) for told in heard(text[:first])] == [1]


@given(
    st.lists(
        st.one_of(st.text(max_size=20), st.sampled_from(['{"lines":[', '{"text":"a"}', ",", "}", "]", '\\"'])),
        max_size=30,
    )
)
def test_nothing_that_a_model_says_raises(pieces: list[str]) -> None:
    heard(pieces)


@pytest.mark.parametrize(
    "reply",
    [
        '{"lines": [{"text": "a"} {"text": "b"}]}',
        '{"lines": [{"text": "a"}, {"marks": []}, {"text": "b"}]}',
        '{"lines": [{"text": "a"}, {"text": "b", "n": 1e999}, {"text": "c"}]}',
        '{"lines": [{"text": "a"}], "lines": [{"text": "b"}]}',
        '{"lines": [{"text": "a"}, 5, {"text": "b"}]}',
    ],
    ids=["no comma", "not valid", "no number", "written twice", "no object"],
)
def test_after_what_cannot_be_read_nothing_more_is_heard(reply: str) -> None:
    assert heard(reply)[-1] == [Line(text="a")]


@pytest.mark.parametrize(
    "reply", ['<think>{"a": 1}</think>{"lines": [{"text": "a"}]}', '{"other": 1, "lines": [{"text": "a"}]}', "}{" * 99]
)
def test_a_reply_that_does_not_begin_with_the_list_is_left_to_whoever_reads_it_whole(reply: str) -> None:
    assert heard(reply) == []


class Counting:
    """Counts the characters that a decoder may look at."""

    def __init__(self) -> None:
        self.calls = self.chars = 0

    def raw_decode(self, text: str, at: int) -> Any:
        self.calls, self.chars = self.calls + 1, self.chars + len(text) - at
        return json.JSONDecoder(strict=False).raw_decode(text, at)


@pytest.mark.parametrize("filling", ["}", "x", '{"a":', "}}}}}}}}", "{}"])
def test_the_work_is_bounded_however_hostile_the_reply(filling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(partial, "_DECODER", counting)
    heard(['{"lines": [{"text": "', *[filling] * 50_000, '"}, {"text": "b"}]}'])
    assert counting.calls <= MAX_READS
    assert counting.chars <= MAX_READS * (MAX_ELEMENT_CHARS + 100)


def test_a_long_reply_is_read_in_work_that_grows_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(partial, "_DECODER", counting)
    text = json.dumps({"lines": [{"text": "word " * 20} for _ in range(MAX_ELEMENTS)]})
    assert len(heard(text)[-1]) == MAX_ELEMENTS
    assert counting.chars <= 4 * len(text)


@pytest.mark.parametrize(("given", "read"), [(MAX_ELEMENTS + 1, MAX_ELEMENTS), (100_000, 0)])
def test_of_a_long_list_in_one_piece_few_are_read_and_none_of_a_reply_too_long_to_be_read(
    given: int, read: int
) -> None:
    listed = ",".join(['{"text":"a"}'] * given)
    told = heard([f'{{"lines":[{listed}]}}'])
    assert sum(map(len, told)) == read


async def test_a_listener_hears_a_reply_before_it_is_whole_and_a_new_try_from_the_beginning() -> None:
    told: list[list[str]] = []
    whole = '{"lines": [ {"text": "one"}, {"text": "two"} ]}'
    b = bench([Said(whole, breaks_after=5), whole])
    listener = Elements("lines", Line, lambda lines, _: told.append([line.text for line in lines]))
    reply = await Asker(b.chat).ask([], Lines, task="say", listener=listener)
    assert [line.text for line in reply.value.lines] == ["one", "two"]
    assert told == [["one"], ["one"], ["one", "two"]]
    assert "listener" not in b.server.chats[0]


async def test_a_listener_hears_the_server_that_takes_over_from_the_beginning() -> None:
    told: list[list[str]] = []
    broken = Said('{"lines": [ {"text": "one"}, {"text": "two"} ]}', breaks_after=5)
    servers = pair([broken] * 3, ['{"lines": [ {"text": "three"} ]}'])
    listener = Elements("lines", Line, lambda lines, _: told.append([line.text for line in lines]))
    reply = await Asker(servers.chat).ask([], Lines, task="say", listener=listener)
    assert [line.text for line in reply.value.lines] == ["three"]
    assert told == [["one"], ["one"], ["one"], ["three"]]


async def test_a_listener_hears_a_server_that_is_asked_in_words_because_it_refuses_a_schema() -> None:
    told: list[int] = []
    b = bench([Said("response_format json_schema is not supported", status=400), '{"lines": [ {"text": "one"} ]}'])
    listener = Elements("lines", Line, lambda lines, _: told.append(len(lines)))
    await Asker(b.chat).ask([], Lines, task="say", listener=listener)
    assert told == [1]


def begun(pieces: Iterable[str]) -> list[str]:
    """Return the texts of unfinished elements that are told while ``pieces`` come."""
    told: list[str] = []
    elements = Elements("lines", Line, lambda _, line: told.append(line.text) if line else None)
    for piece in pieces:
        elements.said(piece)
    return told


def test_an_element_that_has_begun_is_told_with_the_first_word_after_a_sentence_of_its_text() -> None:
    text = '{"lines": [{"marks": ["A. B c "], "text": "One is. Two are so. Three'
    assert begun(text) == ["One is. Two"]
    assert begun([text, " "]) == ["One is. Two are so.", "One is. Two are so. Three"]
    assert begun('{"lines": [{"text": "0"}, {"marks": [], "text": "One is. Two are') == ["One is. Two"]


@given(st.text(max_size=60), AT, st.booleans())
def test_what_is_told_of_a_begun_element_is_how_its_text_begins(text: str, at: list[int], ascii_only: bool) -> None:
    line = {"marks": [], "text": f"One. {text} is. Two are. "}
    reply = json.dumps({"lines": [line]}, ensure_ascii=ascii_only)
    (whole, *_) = [Lines.model_validate(reading.value).lines[0].text for reading in readings(reply)]
    assert all(whole.startswith(words) for words in begun(cut(reply, at)))


@pytest.mark.parametrize(
    "reply",
    [
        '{"lines": [{"marks": ["One is. Two are. ',
        '{"lines": [{"text": ["One is. Two are. ',
        '{"lines": [{"text": "a"} {"text": "One is. Two are. ',
        '{"lines": [{"One is. Two are. ',
        '{"other": "One is. Two are. ',
        "One is. Two are. ",
    ],
    ids=["in a list", "no text", "no comma", "a key", "another list", "prose"],
)
def test_outside_of_an_open_text_nothing_is_told_of_what_has_begun(reply: str) -> None:
    assert begun(reply) == []


@pytest.mark.parametrize("filling", ["A. b ", ". . ", "a.", "! x} ", '"A. b ", '])
def test_how_often_an_element_is_looked_at_before_it_is_whole_is_bounded(
    filling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    monkeypatch.setattr(partial, "_DECODER", counting)
    assert len(begun(['{"lines": [{"text": "', *[filling] * 20_000])) <= MAX_GLANCES
    assert counting.calls <= MAX_GLANCES + MAX_READS
    assert counting.chars <= (MAX_GLANCES + MAX_READS) * (MAX_ELEMENT_CHARS + 100)


def test_elements_are_told_after_no_more_sentences_are() -> None:
    text = json.dumps({"lines": [{"text": "One is. Two are. " * 50}, {"text": "b"}]})
    assert len(begun(text)) == MAX_GLANCES
    assert len(heard(text)[-1]) == 2
