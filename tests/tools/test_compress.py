"""A note is chosen from the original, never written, and never longer than its cap."""

from hypothesis import given
from hypothesis import strategies as st

from infra.text.sentences import split_sentences
from tools.compress import NOTE_TOKENS, compress

TEXT = " ".join(f"Sentence {n} speaks of bread." for n in range(100))


async def words(text: str) -> int:
    return len(text.split())


async def test_a_text_within_the_cap_stays_as_it_is() -> None:
    note = await compress("Two words.", "What?", words)
    assert (note.text, note.tokens_before, note.tokens_after, note.shortened) == ("Two words.", 2, 2, False)


async def test_a_longer_text_becomes_sentences_of_its_own_in_their_order_within_the_cap() -> None:
    note = await compress(TEXT, "What is said of bread?", words)
    assert note.shortened
    assert note.tokens_before == 500
    assert note.tokens_after == await words(note.text) <= NOTE_TOKENS
    places = [TEXT.index(line) for line in note.text.split("\n")]
    assert places == sorted(places)
    assert len(places) > NOTE_TOKENS // 10


async def test_the_questions_words_and_facts_come_first() -> None:
    text = "Nothing of note here. " * 60 + "The mill was sold in 1998. " + "Nothing of note there. " * 60
    note = await compress(text, "When was the mill sold?", words, cap=10)
    assert "The mill was sold in 1998." in note.text


async def test_a_text_without_a_place_to_cut_ends_too() -> None:
    note = await compress("word" * 5_000, "What?", count_chars, cap=100)
    assert note.tokens_after <= 100


async def count_chars(text: str) -> int:
    return len(text)


@given(
    text=st.text(max_size=600),
    question=st.text(max_size=40),
    cap=st.integers(min_value=1, max_value=50),
)
async def test_every_line_of_a_note_stands_in_the_original(text: str, question: str, cap: int) -> None:
    note = await compress(text, question, words, cap=cap)
    assert note.tokens_after <= max(cap, 0) or not note.shortened
    if note.shortened:
        sentences = {text[start:end] for start, end in split_sentences(text)}
        rest = note.text
        for sentence in sorted(sentences, key=len, reverse=True):
            rest = rest.replace(sentence, "")
        assert rest.strip() == ""
