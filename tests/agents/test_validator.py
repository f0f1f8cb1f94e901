"""What may be said: code checks marks and quotes first, the model judges only what code cannot decide."""

import pytest

from agents.planner import single
from agents.synthesizer import PROMPT as DRAFT_PROMPT
from agents.synthesizer import Case, Claim, Draft, case_messages
from agents.validator import PROMPT, Accepted, Rejected, Verdict, validate
from tests.agents.models import evidence, scripted
from tools.citations import Citation

CASE = Case("When did Ann open the bakery?", single("When did Ann open the bakery?"), [evidence()])
OPENED = "Ann Miller opened the bakery in May 2021."
CITED = Citation("E1", "ann.txt", 100, 141, OPENED)
NOT_THERE = "its words do not stand in the passages it cites"


async def verdict_on(claim: Claim, *replies: object) -> Verdict:
    model, server = scripted(*replies)
    verdict = await validate(CASE, Draft(claims=[claim]), model)
    assert len(server.chats) == len(replies)
    return verdict


async def test_a_copied_sentence_is_accepted_without_asking_a_model() -> None:
    verdict = await verdict_on(Claim(text=OPENED, marks=["E1"]))
    assert verdict == Verdict(accepted=[Accepted(text=OPENED, citations=[CITED])], rejected=[])


@pytest.mark.parametrize("marks", [[], ["E7"], ["<source>"]])
async def test_a_claim_without_a_passage_behind_its_marks_is_rejected(marks: list[str]) -> None:
    verdict = await verdict_on(Claim(text=OPENED, marks=marks))
    assert verdict == Verdict(accepted=[], rejected=[Rejected(text=OPENED, reason=NOT_THERE)])


async def test_an_invented_claim_is_rejected_by_code() -> None:
    invented = "The moon is made of green cheese."
    verdict = await verdict_on(Claim(text=invented, marks=["E1"], quotes=["made of green cheese"]))
    assert verdict == Verdict(accepted=[], rejected=[Rejected(text=invented, reason=NOT_THERE)])


async def test_a_reworded_claim_is_judged_by_the_model() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["[E1]"], quotes=[OPENED])
    yes = {"judgements": [{"claim": "1", "supported": True, "reason": "it says so"}]}
    assert await verdict_on(claim, yes) == Verdict(accepted=[Accepted(text=claim.text, citations=[CITED])], rejected=[])
    no = {"judgements": [{"claim": "1", "supported": False, "reason": "another month"}]}
    assert (await verdict_on(claim, no)).rejected == [Rejected(text=claim.text, reason="another month")]


async def test_a_judgement_in_a_small_models_forms_is_read() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    yes = {"judgements": [{"claim": 1, "supported": "true", "reason": None}]}
    assert len((await verdict_on(claim, yes)).accepted) == 1
    no = {"judgements": [{"claim": 1, "supported": False, "reason": "a\n" * 999}]}
    assert len((await verdict_on(claim, no)).rejected[0].reason) <= 240


async def test_rules_do_not_judge_in_a_models_place() -> None:
    claim = Claim(text="Ann Miller opened the bakery in May 2021. She sells forty loaves", marks=["E1"])
    model, server = scripted("no", "no", rules=True)
    assert (await validate(CASE, Draft(claims=[claim]), model)).rejected[0].reason == "it was not judged"
    assert len(server.chats) == 2


async def test_a_judgement_that_cannot_be_read_or_is_missing_accepts_nothing() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    assert (await verdict_on(claim, "no", "no")).rejected[0].reason == "it was not judged"
    assert (await verdict_on(claim, {"judgements": []})).rejected[0].reason == "it was not judged"


def test_the_validators_prompt_begins_as_the_synthesizers() -> None:
    drafted, judged = case_messages(DRAFT_PROMPT, CASE), case_messages(PROMPT, CASE, "more")
    assert judged[0] == drafted[0]
    shared = drafted[1].text.index(DRAFT_PROMPT.task)
    assert judged[1].text[:shared] == drafted[1].text[:shared]


async def test_a_piece_of_a_sentence_may_have_lost_its_negation_and_is_judged() -> None:
    case = Case("Was it sold?", single("Was it sold?"), [evidence("It is not true that Ann Miller sold the bakery.")])
    model, server = scripted({"judgements": [{"claim": "1", "supported": False, "reason": "the opposite"}]})
    verdict = await validate(case, Draft(claims=[Claim(text="Ann Miller sold the bakery.", marks=["E1"])]), model)
    assert len(server.chats) == 1
    assert verdict.accepted == []


async def test_a_claim_judged_both_ways_is_refused() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    both = [{"claim": "1", "supported": supported, "reason": "so"} for supported in (False, True)]
    assert (await verdict_on(claim, {"judgements": both})).accepted == []


async def test_without_a_model_to_ask_only_copied_sentences_are_accepted() -> None:
    reworded = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    verdict = await validate(CASE, Draft(claims=[Claim(text=OPENED, marks=["E1"]), reworded]), None)
    assert [a.text for a in verdict.accepted] == [OPENED]
    assert [r.reason for r in verdict.rejected] == ["it was not judged"]
