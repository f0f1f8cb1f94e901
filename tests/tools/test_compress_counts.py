"""How often a note's tokens are counted, and by whom."""

import pytest

from infra.errors import BackendUnavailable
from tests.tools.test_compress import LONG, MILL, NAMED, QUESTION, SOLD, awaited, words
from tools.compress import MAX_TRIES, choose, compress, engine_tokens


def test_no_note_takes_many_counts() -> None:
    for row in range(5, 60, 5):
        told: list[str] = []

        def count(text: str, told: list[str] = told) -> int:
            told.append(text)
            return len(text.split())

        rows = "\n\n".join(f"The mill read {' '.join(str(n * row + k) for n in range(row))}." for k in range(3))
        note = choose(f"{rows}\n\n{LONG}", "What did the mill read?", count, cap=100)
        assert note.tokens_after <= 100
        assert len(told) <= MAX_TRIES + 3


def test_a_text_of_which_nothing_fits_takes_no_more_counts_and_becomes_an_empty_note() -> None:
    told: list[str] = []

    def count(text: str) -> int:
        told.append(text)
        return 1_000 if text else 0

    read = " ".join(f"The mill read {' '.join(map(str, range(n, n + 390)))}." for n in (1, 400, 800))
    note = choose(read, QUESTION, count, cap=100)
    assert (note.text, note.tokens_after, note.retained) == ("", 0, 0)
    assert note.needed > 0
    assert len(told) <= MAX_TRIES + 3


async def test_the_text_and_its_note_are_counted_and_no_try_where_the_note_keeps_the_cap() -> None:
    told: list[str] = []

    async def count(text: str) -> int:
        told.append(text)
        return 2 * engine_tokens(text)

    note = await compress(f"{LONG}{MILL} {LONG}", QUESTION, count, cap=100)
    assert told == [f"{LONG}{MILL} {LONG}", note.text]
    assert 80 < note.tokens_after == 2 * engine_tokens(note.text) <= 100


async def test_where_a_notes_words_are_more_tokens_than_the_texts_each_try_is_counted() -> None:
    told: list[str] = []

    async def count(text: str) -> int:
        told.append(text)
        return words(text) + 30 * text.count("mill")

    text = f"{LONG}{' '.join(f'The mill number {n} is idle.' for n in range(20))} {LONG}"
    note = await compress(text, QUESTION, count, cap=100)
    assert 60 < note.tokens_after == words(note.text) + 30 * note.text.count("mill") <= 100
    assert 4 < len(told) <= MAX_TRIES + 5


async def test_where_a_fact_is_lost_though_the_note_has_room_each_try_is_counted() -> None:
    note = await compress(SOLD, NAMED, awaited, cap=100)
    assert note.text == choose(SOLD, NAMED, words, cap=100).text
    assert note.retained == note.needed


async def test_a_count_that_fails_while_tries_are_counted_is_the_callers() -> None:
    told: list[str] = []

    async def count(text: str) -> int:
        told.append(text)
        if len(told) > 2:
            raise BackendUnavailable("gone")
        return 1_000

    with pytest.raises(BackendUnavailable, match="gone"):
        await compress(LONG, QUESTION, count, cap=100)


async def test_a_lone_surrogate_is_counted_as_the_question_mark_it_is_sent_as() -> None:
    assert engine_tokens("a \ud800 b") == engine_tokens("a ? b")
