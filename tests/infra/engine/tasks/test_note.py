"""Notes: chosen sentences within a bound."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engine.tasks.note import NOTE_TOKENS
from infra.engine.tokenizer import encode
from infra.text.blocks import block
from tests.infra.engine.tasks.calls import do, question

TEXT = (
    "It rained all day long.\nThe boiler holds 80 litres.\nThe key lies in /etc/house.conf today.\nWe had tea and cake."
)


def test_a_short_text_is_kept_whole():
    assert do("note", block("text", TEXT), question("How big is the boiler?"))["note"] == TEXT


def test_the_question_comes_first_then_facts():
    asked = question("How much does the boiler hold?")
    assert do("note", block("text", TEXT), asked, max_tokens=16)["note"] == "The boiler holds 80 litres."
    assert do("note", block("text", TEXT), asked, max_tokens=32)["note"] == (
        "The boiler holds 80 litres.\nThe key lies in /etc/house.conf today."
    )


def test_several_texts_are_one():
    assert do("note", block("text", "One."), block("text", "Two."))["note"] == "One.\nTwo."


@settings(max_examples=30)
@given(
    words=st.lists(st.sampled_from(["boiler", "80", "。", "🎉🎉🎉", "rain.", "\n", "x" * 60]), max_size=400),
    bound=st.integers(1, 400),
)
def test_a_note_never_passes_its_bound(words: list[str], bound: int):
    note = do("note", block("text", " ".join(words)), question("boiler?"), max_tokens=bound)["note"]
    assert len(encode(note)) <= min(NOTE_TOKENS, bound)
