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

BULLET = re.compile(r"\s*[->]\s*")


def plain(words: str) -> str:
    """The words with white space and quotation marks in one form."""
    return " ".join(words.translate(str.maketrans("“”’–", '""\'-')).split())


CASE = Case("When did Ann open the bakery?", single("When did Ann open the bakery?"), [evidence()])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("It rained. The bakery opened\nin May 2021.", "The bakery opened in May 2021."),
        ("Opened: May 2021", "Opened: May 2021."),
        ("Ann's mill did not close.", "Ann's mill did not close"),
        ("Ann’s mill – the old one – closed.", "Ann's mill - the old one - closed."),
        ("It was closed! Ann opened the bakery.", "It was closed! Ann opened the bakery"),
        ("Bob denied that Ann left. Ann left.", "Ann left."),
        ("- Ann sells eggs.", "- Ann sells eggs."),
        ("However, the bakery opened in May 2021.", "However, the bakery opened in May 2021."),
        ("“Ann opened it.”", '"Ann opened it."'),
    ],
)
async def test_a_whole_sentence_is_a_copy_one_full_stop_more_or_less(source: str, said: str) -> None:
    case = replace(CASE, evidence=[evidence(source)])
    [accepted] = (await validate(case, Draft(claims=[Claim(text=said, marks=["E1"])]), None)).accepted
    [cited] = accepted.citations
    assert cited.quote == source[cited.start - 100 : cited.end - 100]
    assert plain(said).rstrip(".") == plain(cited.quote).rstrip(".")


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
        ("Ann opened the bakery in May ...", "Ann opened the bakery in May"),
        ("Ann opened the bakery in May...", "Ann opened the bakery in May."),
        ("Ann opened the bakery in May…", "Ann opened the bakery in May."),
        ("The number of bakeries in May is 52!", "The number of bakeries in May is 52."),
        ("The factor of the bakery is n!", "The factor of the bakery is n."),
        # an item of a list, whose lead-in, heading or neighbours decide what it says
        ("Never do any of these:\n- Share the password with a colleague.", "Share the password with a colleague."),
        ("Never do any of these:\n\n- Go.\n\n- Share the password.", "Share the password."),
        ("## Myths about the bakery\n\n* Ann opened it in May.", "Ann opened it in May."),
        ("Bob tells these tales.\n\n- Ann opened the bakery.", "Ann opened the bakery."),
        ("Claim | Truth\n• Ann opened the bakery.", "Ann opened the bakery."),
        ("- Ann opened the bakery.\n- It rained.", "Ann opened the bakery."),
        ("The licence ends when:\n- the fee is unpaid;", "The fee is unpaid."),
        ("The licence ends when:\nthe fee is unpaid;", "the fee is unpaid."),
        ("If it rains,\n+ Ann opened the bakery.", "Ann opened the bakery."),
        ("Ann sells:\n- free range eggs\n- bread", "Free range eggs."),
        ("1. Ann opened the bakery.", "Ann opened the bakery."),
        ("| Ann opened the bakery. |", "Ann opened the bakery."),
        ("> Ann opened the bakery.", "Ann opened the bakery."),
        # an opening that ties the sentence to what stood before, or that is no linking word
        ("But for the seat belt, he would have died.", "For the seat belt, he would have died."),
        ("But that Ann opened the bakery, he denies.", "That Ann opened the bakery, he denies."),
        ("If the fee is unpaid, it ends. And the data is deleted.", "The data is deleted."),
        ("If the fee is unpaid, it ends. In addition, the data is deleted.", "The data is deleted."),
        ("Bob may not smoke. Also, Bob may not drink in May.", "Bob may not drink in May."),
        ("And not on Sundays, the bakery opens at 9.", "Not on Sundays, the bakery opens at 9."),
        ("However, the bakery opened in May.", "The bakery opened in May."),
        ("Also, did Ann open the bakery in May?", "Did Ann open the bakery in May?"),
        # who says it
        ('"Ann opened the bakery."', "Ann opened the bakery."),
        ("Ann opened the bakery.", '"Ann opened the bakery."'),
        ("Ann opened the bakery. 😂\nBob laughed.", "Ann opened the bakery."),
        # the same words about another subject, or another way round
        ("Ann paid Bob for the bakery.", "Bob paid Ann for the bakery."),
        ("Ann and not Bob opened the bakery.", "Not Ann and Bob opened the bakery."),
        # a word or a letter more or other
        ("Ann opened the bakery in May.", "However, Ann opened the bakery in May."),
        ("Ann opened the US bakery in May.", "Ann opened the us bakery in May."),
        ("N is 30 in every bakery.", "n is 30 in every bakery."),
        ("Polish is sold in May.", "polish is sold in May."),
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


PIECES = 'Ann bob not sold mill for 5 But And also, - ; : . ! ? ... \n- \n> \nNever: " “'.split(" ")  # noqa: SIM905


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9), st.data())
async def test_code_accepts_only_words_and_marks_that_the_source_has_in_this_order(
    pieces: list[str], data: st.DataObject
) -> None:
    source = " ".join(pieces)
    copied = " ".join(pieces[data.draw(st.integers(0, len(pieces) - 1)) :]).strip("\n->;:.!? ")
    said = data.draw(st.sampled_from([copied, copied[:1].upper() + copied[1:], f"{copied}."]))
    case = replace(CASE, evidence=[evidence(source)])
    for accepted in (await validate(case, Draft(claims=[Claim(text=said or "-", marks=["E1"])]), None)).accepted:
        quoted, claimed = plain(accepted.citations[0].quote), plain(accepted.text)
        assert claimed in (quoted, f"{quoted}.") or quoted == f"{claimed}."
        place = accepted.citations[0].start - 100
        assert not BULLET.fullmatch(source[source.rfind("\n", 0, place) + 1 : place])
