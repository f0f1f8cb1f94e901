"""What holds of every note, whatever the text and the question."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.text.blocks import block, find_blocks, neutral
from tools.compress import Note, choose, compress
from tools.compress_choice import Choice
from tools.compress_facts import Words, facts

Compressed = Callable[..., Note]


@pytest.fixture(scope="module")
def noted() -> Iterator[Compressed]:
    """Compresses on one event loop for all examples of a property."""
    with asyncio.Runner() as runner:
        yield lambda *given, **named: runner.run(compress(*given, **named))


def words(text: str) -> int:
    return len(text.split())


async def awaited(text: str) -> int:
    return words(text)


FACTS = st.sampled_from(
    ["1998", "1,250", "3.5%", "$40", "2026-05-06", "6 May 2026", "/etc/hosts", "a/b.txt", "kv_cache", "v1.2.3", "16GB"]
)
WORD = st.sampled_from(["mill", "sold", "bread", "the", "of", "decided", "not", "<source>", "</text>", "<", "/text>"])
SENTENCE = st.lists(st.one_of(FACTS, WORD, st.text(max_size=6)), min_size=1, max_size=12).map(
    lambda w: " ".join(w) + "."
)
TEXT = st.lists(SENTENCE, max_size=12).map(lambda sentences: "\n\n".join(sentences))
ASKED = st.lists(st.one_of(FACTS, WORD), max_size=6).map(" ".join)
CAP = st.integers(min_value=1, max_value=60)


@given(text=TEXT, question=ASKED, cap=CAP)
@settings(max_examples=100)
def test_a_note_says_how_many_facts_it_holds_and_holds_all_where_there_is_room(
    text: str, question: str, cap: int
) -> None:
    note = choose(text, question, words, cap=cap)
    held, kept = Words(text), Words(note.text)
    lost = [fact for fact in facts(question) if held.holds(fact) and not kept.holds(fact)]
    assert len(lost) <= note.needed - note.retained
    if note.method == "extract":
        needed = Choice(neutral(text), neutral(question)).needed
        assert note.needed == len(needed)
        if sum(len(fact.text.split()) for fact in needed) <= cap:
            assert note.retained == note.needed


@given(text=TEXT, question=ASKED, cap=CAP)
@settings(max_examples=100)
def test_a_note_keeps_its_cap_and_is_its_own_note_and_opens_no_block(
    text: str, question: str, cap: int, noted: Compressed
) -> None:
    for note in (noted(text, question, awaited, cap=cap), choose(text, question, words, cap=cap)):
        assert_is_its_own_note(note, question, cap)


def assert_is_its_own_note(note: Note, question: str, cap: int) -> None:
    assert note.tokens_after == len(note.text.split()) <= cap
    again = choose(note.text, question, words, cap=cap)
    assert (again.text, again.shortened) == (note.text, False)
    assert len(find_blocks(block("text", note.text))) == 1


@given(text=st.one_of(TEXT, st.text(max_size=600)), question=ASKED, cap=CAP)
def test_a_note_says_nothing_that_the_original_does_not(text: str, question: str, cap: int, noted: Compressed) -> None:
    note = noted(text, question, awaited, cap=cap)
    said = " ".join(neutral(f"{text} {question}").split())
    for line in filter(None, (" ".join(line.split()) for line in note.text.split("\n"))):
        assert line in said or [fact for fact in line.split("; ") if fact not in said] == []
