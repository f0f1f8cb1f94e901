"""Drafts: chosen sentences, verbatim, of at most two documents."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engine.tasks import TASKS, TaskInput
from infra.text.blocks import block
from tests.infra.engine.tasks.calls import do, list_of, question, source

BOILER = source("E1", "The boiler was installed in March 2019. It is serviced every autumn.", doc="house/boiler.md")
ROOF = source("E2", "The roof was renewed in 2008. Two men worked on it for a week.", doc="house/roof.md")
CAR = source("E3", "The car needs new tyres before winter comes.", doc="car.md")


def texts(reply: dict[str, Any]) -> list[str]:
    return [claim["text"] for claim in reply["claims"]]


def test_the_sentence_that_fits_is_quoted_with_its_mark():
    assert do("draft", BOILER, ROOF, CAR, question("When was the boiler installed?")) == {
        "claims": [{"text": "The boiler was installed in March 2019.", "marks": ["E1"]}]
    }


@pytest.mark.parametrize("sources", [[BOILER, ROOF, CAR], []])
def test_where_nothing_fits_there_is_no_claim(sources: list[str]):
    assert do("draft", *sources, question("Which prize did Marie Curie win in 1903?")) == {"claims": []}


def test_each_part_is_answered_and_what_cannot_be_has_no_claim():
    parts = [
        block("part", "When was the boiler installed?", id="q1"),
        block("part", "When was the roof renewed?", id="q2"),
        block("part", "Who painted the fence in Oslo?", id="q3"),
    ]
    reply = do("draft", BOILER, ROOF, CAR, question("Tell me all of it."), *parts)
    assert texts(reply)[0] == "The boiler was installed in March 2019."
    assert "The roof was renewed in 2008." in texts(reply)
    assert not any("fence" in text for text in texts(reply))


def test_a_close_second_document_is_cited_after_the_first():
    other = source("E2", "A boiler was installed in May 2020, too.", doc="shed.md")
    reply = do("draft", BOILER, other, CAR, question("When was the boiler installed?"))
    assert [claim["marks"] for claim in reply["claims"]] == [["E1"], ["E2"]]


def test_open_questions_at_the_end_of_a_said_line_are_left_off():
    chat = source("E1", "Ann: The green valve leaks again. What do you think? Have you got time?", doc="chat.txt")
    reply = do("draft", chat, question("Which valve leaks?"))
    assert texts(reply) == ["Ann: The green valve leaks again."]


def test_a_question_for_a_time_also_gets_the_line_that_dates_the_document():
    chat = source("E1", "Time: 2026-03-01 13:00\nAnn: The green valve leaks again.", doc="chat.txt")
    reply = do("draft", chat, question("When did Ann say that the valve leaks?"))
    assert texts(reply) == ["Ann: The green valve leaks again.", "Time: 2026-03-01 13:00"]
    assert texts(do("draft", chat, question("Which valve leaks?"))) == ["Ann: The green valve leaks again."]


def test_a_question_for_an_order_gets_the_dates_of_both():
    one = source("E1", "Time: 2026-03-01\nAnn: I ordered the valve today.", doc="a.txt")
    two = source("E2", "Time: 2026-03-09\nBob: I paid the plumber.", doc="b.txt")
    parts = [
        block("part", "Did Ann order the valve?", id="q1"),
        block("part", "When was it that Bob paid the plumber?", id="q2"),
    ]
    reply = do("draft", one, two, question("Did Ann order the valve before Bob paid the plumber?"), *parts)
    assert texts(reply) == [
        "Ann: I ordered the valve today.",
        "Time: 2026-03-01",
        "Bob: I paid the plumber.",
        "Time: 2026-03-09",
    ]


def test_a_table_row_comes_with_its_first_row_and_without_other_rows():
    table = source("E1", "| size | price |\n| --- | --- |\n| small lamp | 30 |\n| large lamp | 50 |", doc="prices.md")
    reply = do("draft", table, question("What is the price of the large lamp?"))
    assert texts(reply) == ["| size | price |", "| large lamp | 50 |"]


def test_a_list_is_quoted_with_its_lead_line_and_its_line_breaks():
    tools = source("E1", "For the repair bring these:\n- a long rope\n- a lamp", doc="tools.md")
    reply = do("draft", tools, question("What should I bring for the repair?"))
    assert texts(reply) == ["For the repair bring these:\n- a long rope\n- a lamp"]


def test_line_breaks_of_running_text_become_spaces_and_bullets_fall_away():
    text = source("E1", "- The boiler in the cellar was\n  installed in March 2019.", doc="a.md")
    assert texts(do("draft", text, question("When was the boiler installed?"))) == [
        "The boiler in the cellar was installed in March 2019."
    ]


def test_what_was_objected_to_is_not_said_again():
    objection = block("text", "The boiler was installed in March 2019. (the source says the opposite)")
    reply = do("draft", BOILER, question("When was the boiler installed?"), objection)
    assert reply == {"claims": []}


def test_claims_stop_where_the_tokens_end_but_one_is_always_there():
    long = source(
        "E1",
        "The old boiler is green and loud. The old boiler is heavy and hot too. The old boiler is rusty and wet now.",
        doc="a.md",
    )
    assert len(texts(do("draft", long, question("What is the boiler like?")))) == 3
    assert len(texts(do("draft", long, question("What is the boiler like?"), max_tokens=50))) == 2
    assert len(texts(do("draft", long, question("What is the boiler like?"), max_tokens=8))) == 1


def test_nothing_is_said_twice():
    again = source("E2", "The boiler was installed in March 2019.", doc="copy.md")
    parts = [block("part", text, id="q") for text in ("When was the boiler installed?", "Was the boiler installed?")]
    assert texts(do("draft", BOILER, again, question("When was the boiler installed?"), *parts)) == [
        "The boiler was installed in March 2019."
    ]


def test_ten_sources_of_two_hundred_tokens_take_less_than_a_fifth_of_a_second():
    bodies = [" ".join(f"Line {n} of page {p} speaks of pump {n * p}." for n in range(20)) for p in range(10)]
    blocks = [source(f"E{p}", body) for p, body in enumerate(bodies)]
    do("draft", *blocks, question("Which line speaks of pump 57?"))
    began = time.thread_time()
    do("draft", *blocks, question("Which line speaks of pump 76?"))
    assert time.thread_time() - began < 0.2


WORDS = st.lists(
    st.sampled_from([*list_of("the boiler lamp pump is was green loud? new. Ann: - | 2019"), "\n"]), max_size=40
)


@settings(max_examples=50)
@given(bodies=st.lists(WORDS, min_size=1, max_size=5), asked=WORDS, parts=st.integers(0, 3))
def test_claims_are_verbatim_marked_and_of_two_documents_or_one_a_part(
    bodies: list[list[str]], asked: list[str], parts: int
):
    given_sources = {f"E{n}": " ".join(body) for n, body in enumerate(bodies)}
    blocks = [source(mark, body, doc=f"{mark}.md") for mark, body in given_sources.items()]
    blocks += [block("part", f"Is the lamp {n}?", id=f"q{n}") for n in range(parts)]
    task = TaskInput([("user", "\n".join([*blocks, question(" ".join(asked))]))], 500, {})
    reply = TASKS["draft"](task)
    for claim in reply["claims"]:
        assert " ".join(claim["text"].split()) in " ".join(given_sources[claim["marks"][0]].split())
    assert len({claim["marks"][0] for claim in reply["claims"]}) <= max(2, parts)
    assert reply == TASKS["draft"](task)
