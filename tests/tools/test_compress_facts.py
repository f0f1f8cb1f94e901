"""Facts of a sentence, and what counts as holding one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.compress_facts import MAX_FACT_CHARS, Fact, Words, facts


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("The mill was sold on 6 May 2026 for $1,000.50.", [("date", "6 May 2026"), ("number", "$1,000.50")]),
        ("We meet on May 6, 2026, at 14:30.", [("date", "May 6, 2026"), ("number", "14:30")]),
        ("See /etc/hosts and docs/a b.", [("path", "/etc/hosts"), ("path", "docs/a")]),
        ("It is set in config.json.", [("identifier", "config.json")]),
        (
            "Pass --kv-cache or max_model_len=4096.",
            [("identifier", "--kv-cache"), ("identifier", "max_model_len=4096")],
        ),
        ("The loaves of Ann Miller won.", [("name", "Ann Miller")]),
        ("Ann Miller's loaves won.", [("name", "Ann Miller")]),
        ("The mill won.", []),
        ("NASA won.", [("name", "NASA")]),
        ("He met Ann, Bob and Cat.", [("name", "Ann"), ("name", "Bob"), ("name", "Cat")]),
        ("No fact at all…", []),
        ("x" * (MAX_FACT_CHARS + 1) + "1", []),
    ],
)
def test_the_facts_of_a_sentence(sentence: str, found: list[tuple[str, str]]) -> None:
    assert [(fact.kind, fact.text) for fact in facts(sentence)] == found


@pytest.mark.parametrize(
    ("fact", "text", "held"),
    [
        (Fact("number", "1,000"), "It cost 1000 in all.", True),
        (Fact("date", "6 May 2026"), "Signed: 2026-05-06.", True),
        (Fact("number", "5"), "It grew by 3.5 in all.", False),
        (Fact("number", "5"), "It grew by 5.2 in all.", False),
        (Fact("number", "5"), "It grew by 5.", True),
        (Fact("number", "20"), "In 2021 it grew.", False),
        (Fact("path", "/etc/hosts"), "See /etc\n/hosts.", False),
        (Fact("path", "/etc/hosts"), "See (/etc/hosts).", True),
        (Fact("name", "Ann Miller"), "it was ann\nmiller", True),
        (Fact("name", "Ann"), "It was Anna.", False),
    ],
)
def test_what_counts_as_holding_a_fact(fact: Fact, text: str, held: bool) -> None:
    assert Words(text).holds(fact) is held


@given(st.text(max_size=300))
def test_a_sentence_holds_each_of_its_facts(sentence: str) -> None:
    words = Words(sentence)
    assert [fact for fact in facts(sentence) if not words.holds(fact)] == []
    assert not any("<" in fact.text for fact in facts(sentence))
