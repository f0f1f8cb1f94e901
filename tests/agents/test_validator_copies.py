"""Which sentences code takes for copied, so that no model is asked, and which it leaves to the model."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.planner import single
from agents.synthesizer import Case, Claim, Draft
from agents.validator import Rejected, Verdict, validate
from tests.agents.models import evidence

CASE = Case("When did Ann open the bakery?", single("When did Ann open the bakery?"), [evidence()])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("Ann sells:\n- free range eggs\n- bread", "Free range eggs."),
        ("She is a baker; she sells\n* plum cake;\n* bread", "Plum cake"),
        ("However, the bakery opened\nin May 2021.", "The bakery opened in May 2021."),
        ("But the bakery opened in May 2021!", "The bakery opened in May 2021."),
        ("Opened: May 2021", "Opened: May 2021."),
        ("It rained. In addition, Ann's mill did not close.", "Ann's mill did not close"),
    ],
)
async def test_a_sentence_of_which_only_the_edges_differ_is_a_copy(source: str, said: str) -> None:
    case = replace(CASE, evidence=[evidence(source)])
    [accepted] = (await validate(case, Draft(claims=[Claim(text=said, marks=["E1"])]), None)).accepted
    [cited] = accepted.citations
    assert cited.quote == source[cited.start - 100 : cited.end - 100]
    assert said.rstrip(".")[1:] in " ".join(cited.quote.split())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        # a word less: a negation, a condition, a doubt, who says so, a comparison, an end of the sentence
        ("Ann did not open the bakery in May.", "Ann did open the bakery in May."),
        ("Never has Ann opened the bakery in May.", "Has Ann opened the bakery in May."),
        ("If it rains, Ann opened the bakery in May.", "Ann opened the bakery in May."),
        ("Perhaps Ann opened the bakery in May.", "Ann opened the bakery in May."),
        ("Otherwise, Ann opened the bakery in May.", "Ann opened the bakery in May."),
        ("Bob: Ann opened the bakery in May.", "Ann opened the bakery in May."),
        ("Bob denied that Ann opened the bakery in May.", "Ann opened the bakery in May."),
        ("Ann opened fewer bakeries than Bob.", "Ann opened bakeries than Bob."),
        ("Ann opened the bakery in May, said nobody.", "Ann opened the bakery in May."),
        ("Ann opened the bakery in May?", "Ann opened the bakery in May."),
        ("Ann opened the bakery in May:", "Ann opened the bakery in May."),
        # the same words about another subject, or another way round
        ("Ann paid Bob for the bakery.", "Bob paid Ann for the bakery."),
        ("Ann and not Bob opened the bakery.", "Not Ann and Bob opened the bakery."),
        # a word or a letter more or other
        ("Ann opened the bakery in May.", "However, Ann opened the bakery in May."),
        ("Ann opened the US bakery in May.", "Ann opened the us bakery in May."),
        ("- 5 loaves are left in May.", "5 loaves are left in May."),
        (
            "Ann opened the bakery. It rained. The bakery closed in May.",
            "Ann opened the bakery. The bakery closed in May.",
        ),
    ],
)
async def test_whatever_else_differs_is_the_models_to_judge(source: str, said: str) -> None:
    case = replace(CASE, evidence=[evidence(source)])
    verdict = await validate(case, Draft(claims=[Claim(text=said, marks=["E1"])]), None)
    assert verdict == Verdict(accepted=[], rejected=[Rejected(text=said, reason="it was not judged")])


@pytest.mark.parametrize("said", ["***", "...", "."])
async def test_what_has_no_word_is_no_copy(said: str) -> None:
    case = replace(CASE, evidence=[evidence("Ann sold it.\n\n***\n\n...\n\nBob left.")])
    assert (await validate(case, Draft(claims=[Claim(text=said, marks=["E1"])]), None)).accepted == []


WORDS = st.lists(st.sampled_from("Ann bob not sold the mill 5 - . ! ? ; : , and but however".split()), max_size=9)  # noqa: SIM905


@given(WORDS.map(" ".join), WORDS.map(" ".join))
async def test_code_accepts_no_words_that_the_source_does_not_say_in_this_order(source: str, said: str) -> None:
    case = replace(CASE, evidence=[evidence(source or "-")])
    for accepted in (await validate(case, Draft(claims=[Claim(text=said or "-", marks=["E1"])]), None)).accepted:
        quoted = re.sub(r"[^a-z0-9?:]+", " ", accepted.citations[0].quote.lower()).strip()
        claimed = re.sub(r"[^a-z0-9?:]+", " ", accepted.text.lower()).strip()
        assert quoted in {lead + claimed for lead in ("", "and ", "but ", "however ")}
