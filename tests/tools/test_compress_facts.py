"""Facts of a sentence, and what counts as holding one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.compress_facts import MAX_FACT_CHARS, Fact, Words, facts, names_inside


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
        ("Dora: I keep the books.", [("name", "Dora")]),
        ("So: I keep the books.", []),
        ("He met Ann | Bob.", [("name", "Ann"), ("name", "Bob")]),
        ("It is stopped by reset().", [("identifier", "reset()")]),
        ("It is stopped (see halt).", []),
        ("It is stopped (see halt(x_y)).", [("identifier", "halt(x_y)")]),
        ("It runs on .NET.", [("identifier", ".NET")]),
        ("No fact at all…", []),
        ("x" * (MAX_FACT_CHARS + 1) + "1", []),
    ],
)
def test_the_facts_of_a_sentence(sentence: str, found: list[tuple[str, str]]) -> None:
    assert [(fact.kind, fact.text) for fact in facts(sentence)] == found


def test_a_name_at_a_sentences_head_is_known_by_another_place() -> None:
    assert facts("Zoe sings.") == []
    assert facts("Zoe sings.", names_inside("We heard Zoe. Then Ann sang.")) == [Fact("name", "Zoe")]


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
        (Fact("path", "/var/log"), "See /var/log/app.", False),
        (Fact("path", "/log"), "See /var/log.", False),
        (Fact("path", "/var/log"), "See /var/log/.", True),
        (Fact("path", "a/b"), "See ../a/b.", False),
        (Fact("identifier", "--max"), "Set --max-tokens.", False),
        (Fact("identifier", "-v"), "Set --v.", False),
        (Fact("identifier", "--max"), "Set --max, then go.", True),
        (Fact("identifier", "foo.bar"), "Call foo.bar.baz or my.foo.bar.", False),
        (Fact("identifier", "foo.bar"), "Call foo.bar.", True),
        (Fact("number", "10"), "It takes 10-20.", False),
        (Fact("number", "20"), "It takes 10-20.", False),
        (Fact("number", "10"), "It takes 10–20.", True),
        (Fact("number", "5"), "It was -5 then, ±5 or −5.", False),
        (Fact("number", "-5"), "It was 5.", False),
        (Fact("number", "5-3"), "It was 5, then 3.", False),
        (Fact("number", "6:5"), "It was 6, then 5.", False),
        (Fact("number", "10"), "In a 10-year plan, x=10.", False),
        (Fact("number", "3%"), "It grew by 3 percent.", True),
        (Fact("number", "3%"), "Of 3, a percent.", False),
        (Fact("number", "$40"), "It cost 40 dollars.", True),
        (Fact("number", "2026-05-06"), "Signed on 6 May 2026.", True),
        (Fact("date", "May 2026"), "Signed on 6 May 2026.", True),
        (Fact("date", "May 2026"), "In May; 2026 more.", False),
    ],
)
def test_what_counts_as_holding_a_fact(fact: Fact, text: str, held: bool) -> None:
    assert Words(text).holds(fact) is held


PARTS = st.sampled_from(
    [
        "6 May 2026",
        "2026-05-06",
        "-5",
        "10-20",
        "5",
        "3%",
        "/var/log",
        "a.b",
        "f()",
        "Ann",
        " ",
        " ",
        ":",
        "-",
        "/",
        ",",
        ")",
    ]
)


@given(st.one_of(st.text(max_size=300), st.lists(PARTS, max_size=12).map("".join)))
def test_a_sentence_holds_each_of_its_facts(sentence: str) -> None:
    words = Words(sentence)
    assert [fact for fact in facts(sentence) if not words.holds(fact)] == []
    assert not any("<" in fact.text for fact in facts(sentence))


@pytest.mark.parametrize(
    ("text", "fact", "alone"),
    [
        ("They stood at the 2.", "2", True),
        ("It is (2), they say.", "2", True),
        ("A 2-yard wheel.", "2", False),
        ("The 12 mills.", "2", False),
        ("A 2-yard wheel of the 2", "2", True),
        ("SEE KV_CACHE!", "kv_cache", True),
        ("See kv_cache_dtype.", "kv_cache", False),
        ("Nothing.", "2", False),
    ],
)
def test_what_stands_alone_has_only_marks_around_it(text: str, fact: str, alone: bool) -> None:
    assert Words(text).holds_alone(Fact("number", fact)) is alone
