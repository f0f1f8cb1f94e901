"""What may be said: code checks marks and quotes first, the model judges only what code cannot decide."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from agents.planner import Plan, Step, single
from agents.synthesizer import PROMPT as DRAFT_PROMPT
from agents.synthesizer import Case, Claim, Draft, case_messages
from agents.validator import PROMPT, Accepted, Judgement, Judgements, Rejected, Verdict, validate
from infra.llm.ask import Asker, Reply
from infra.text.blocks import find_blocks
from tests.agents.models import evidence, scripted
from tools.citations import Citation

CASE = Case("When did Ann open the bakery?", single("When did Ann open the bakery?"), [evidence()])
OPENED = "Ann Miller opened the bakery in May 2021."
SHOPS = Case(
    "When did the shops open?",
    single("When did the shops open?"),
    [evidence(f"Shop {n} opened in May 200{n}.", f"{n}.txt", f"E{n}") for n in (1, 2, 3)],
)
CITED = Citation("E1", "ann.txt", 100, 141, OPENED)
NOT_THERE = "its words do not stand in the passages it cites"


class Judge(Asker):
    """Answers with the replies given, and keeps the prompts."""

    def __init__(self, *replies: Reply[Any]) -> None:
        self._replies = list(replies)
        self.prompts: list[str] = []

    def without_rules(self) -> "Judge":
        return self

    async def ask(self, messages: Sequence[BaseMessage], schema: type[Any], **_: Any) -> Reply[Any]:
        self.prompts.append(messages[-1].text)
        return self._replies.pop(0)


def judged(claim: int | str) -> Judgement:
    return Judgement(claim=str(claim), supported=True)


def both() -> Judgements:
    return Judgements(judgements=[judged(1), judged(2)])


def yes(claim: str = "1") -> object:
    return {"judgements": [{"claim": claim, "supported": True, "reason": "it says so"}]}


async def verdict_on(claim: Claim, *replies: object) -> Verdict:
    model, server = scripted(*replies)
    verdict = await validate(CASE, Draft(claims=[claim]), model)
    assert len(server.chats) == len(replies)
    return verdict


async def test_a_copied_sentence_is_accepted_without_asking_a_model() -> None:
    verdict = await verdict_on(Claim(text=OPENED, marks=["E1"]))
    assert verdict == Verdict(accepted=[Accepted(text=OPENED, citations=[CITED])], rejected=[])


async def test_a_citation_names_the_section_of_its_passage() -> None:
    passage = replace(CASE.evidence[0].passage, section="page 3")
    case = replace(CASE, evidence=[replace(CASE.evidence[0], passage=passage)])
    [accepted] = (await validate(case, Draft(claims=[Claim(text=OPENED, marks=["E1"])]), None)).accepted
    assert accepted.citations == [replace(CITED, section="page 3")]


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
    refused = Rejected(text=claim.text, reason="another month", judged_over=("id-ann.txt",))
    assert (await verdict_on(claim, no)).rejected == [refused]


async def test_what_the_model_refused_over_the_same_passages_stays_refused_and_is_not_asked_again() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"])
    no = {"judgements": [{"claim": "1", "supported": False, "reason": "another month"}]}
    first = await verdict_on(claim, no)
    again, server = scripted()
    assert await validate(CASE, Draft(claims=[claim]), again, [first]) == first
    assert await validate(CASE, Draft(claims=[claim]), None, [first]) == first
    assert server.chats == []


@pytest.mark.parametrize("other", ["passage", "words", "not judged"])
async def test_what_was_not_refused_over_these_passages_is_judged(other: str) -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"])
    first = await verdict_on(claim, {"judgements": [{"claim": "1", "supported": other == "not judged"}]})
    if other == "not judged":
        first = await validate(CASE, Draft(claims=[claim]), None)
        assert first.rejected == [Rejected(text=claim.text, reason="it was not judged")]
    found = [evidence(doc="ben.txt")] if other == "passage" else CASE.evidence
    said = claim.model_copy(update={"text": "The bakery is open since May 2021."}) if other == "words" else claim
    model, server = scripted(yes())
    assert len((await validate(replace(CASE, evidence=found), Draft(claims=[said]), model, [first])).accepted) == 1
    assert len(server.chats) == 1


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


async def test_a_quote_that_stands_there_does_not_carry_numbers_that_do_not() -> None:
    sold = Claim(text="Ann Miller sold the bakery for 9,000,000 dollars in 2025.", marks=["E1"], quotes=["Ann"])
    assert (await verdict_on(sold)).rejected == [Rejected(text=sold.text, reason=NOT_THERE)]


async def test_a_quote_does_not_carry_what_shares_no_words_with_it() -> None:
    other = Claim(text="Zoe Quark was convicted of tax fraud.", marks=["E1"], quotes=["forty loaves"])
    assert (await verdict_on(other)).rejected == [Rejected(text=other.text, reason=NOT_THERE)]


async def test_a_quote_is_shown_with_its_whole_sentence() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=["bakery", "May"])
    accepted = (await verdict_on(claim, yes())).accepted
    assert accepted == [Accepted(text=claim.text, citations=[CITED])]


async def test_quotes_are_found_in_whichever_marked_source_they_stand() -> None:
    found = [evidence(), evidence("The bakery ledger says that trade began in June.", "b.txt", "E2")]
    claim = Claim(
        text="The bakery opened and its trade began in June.", marks=["E1", "E2"], quotes=["trade began", OPENED]
    )
    model, _ = scripted(yes())
    verdict = await validate(replace(CASE, evidence=found), Draft(claims=[claim]), model)
    assert [c.quote for c in verdict.accepted[0].citations] == [OPENED, found[1].passage.text]


async def test_a_question_in_a_document_is_not_taken_for_its_answer() -> None:
    case = replace(CASE, evidence=[evidence("Ann Miller sold the bakery? The bakery is open.")])
    model, server = scripted({"judgements": [{"claim": "1", "supported": False, "reason": "it asks"}]})
    verdict = await validate(case, Draft(claims=[Claim(text="Ann Miller sold the bakery", marks=["E1"])]), model)
    assert len(server.chats) == 1
    assert verdict.accepted == []


async def test_a_judgement_of_claim_1_is_that_of_claim_1() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    assert len((await verdict_on(claim, yes("claim 1"))).accepted) == 1
    assert (await verdict_on(claim, yes("1 to 9"))).accepted == []


async def test_a_claim_said_twice_is_shown_once() -> None:
    verdict = await validate(CASE, Draft(claims=[Claim(text=OPENED, marks=["E1"])] * 3), None)
    assert len(verdict.accepted) == 1
    assert verdict.rejected == []


async def test_sentences_that_were_left_out_of_a_draft_are_listed() -> None:
    verdict = await validate(CASE, Draft(claims=[], omitted=3), None)
    assert [r.text for r in verdict.rejected] == ["(3 more)"]


async def test_what_the_judge_did_not_see_is_asked_again_without_the_other_sources() -> None:
    claims = [Claim(text=f"Shop {n} has been open since May 200{n}.", marks=[f"E{n}"]) for n in (1, 2)]
    judge = Judge(Reply(both(), False, "", dropped=("E2",)), Reply(Judgements(judgements=[judged(1)]), False, ""))
    verdict = await validate(SHOPS, Draft(claims=claims), judge)
    assert [a.text for a in verdict.accepted] == [c.text for c in claims]
    assert [b.attrs["id"] for b in find_blocks(judge.prompts[1], "source")] == ["E2"]


@pytest.mark.parametrize("loss", [{"dropped": ("E2",)}, {"cut_tokens": 9}])
async def test_what_the_judge_never_sees_whole_is_not_accepted(loss: dict[str, Any]) -> None:
    claims = [Claim(text=f"Shop {n} has been open since May 200{n}.", marks=[f"E{n}"]) for n in (1, 2)]
    judge = Judge(*[Reply(both(), False, "", **loss)] * 2)
    verdict = await validate(SHOPS, Draft(claims=claims), judge)
    assert claims[1].text in [r.text for r in verdict.rejected if r.reason == "it was not judged"]


async def test_rules_that_take_over_amid_a_question_do_not_judge_a_models_words() -> None:
    claim = Claim(text="The bakery has been open since May 2021.", marks=["E1"], quotes=[OPENED])
    judge = Judge(Reply(Judgements(judgements=[judged(1)]), False, "", source="rules"))
    assert (await validate(CASE, Draft(claims=[claim]), judge)).rejected[0].reason == "it was not judged"


async def test_no_more_documents_are_cited_than_allowed() -> None:
    claims = [Claim(text=f"Shop {n} opened in May 200{n}.", marks=[f"E{n}"]) for n in (1, 2, 3)]
    verdict = await validate(replace(SHOPS, max_documents=2), Draft(claims=claims), None)
    assert [a.text for a in verdict.accepted] == [c.text for c in claims[:2]]
    assert [r.reason for r in verdict.rejected] == ["it cites a document beyond the 2 allowed"]


async def test_a_sentence_that_stands_in_many_documents_leaves_room_for_others() -> None:
    found = [*(evidence(OPENED, f"{n}.txt", f"E{n}") for n in (1, 2)), evidence("The mill closed.", "3.txt", "E3")]
    claims = [Claim(text=OPENED, marks=["E1", "E2"]), Claim(text="The mill closed.", marks=["E3"])]
    verdict = await validate(replace(CASE, evidence=found, max_documents=2), Draft(claims=claims), None)
    assert [[c.label for c in a.citations] for a in verdict.accepted] == [["E1"], ["E3"]]
    alone = await validate(replace(CASE, evidence=found, max_documents=2), Draft(claims=claims[:1]), None)
    assert [c.label for c in alone.accepted[0].citations] == ["E1", "E2"]


async def test_the_parts_of_a_question_take_turns_with_documents() -> None:
    plan = Plan(steps=[Step(id="q1", question="When did the shops open?"), Step(id="q2", question="Who ran the mill?")])
    mill = evidence("Bob Stone ran the mill.", "mill.txt", "E9")
    case = replace(SHOPS, plan=plan, evidence=[*SHOPS.evidence, mill], max_documents=2)
    claims = [Claim(text=f"Shop {n} opened in May 200{n}.", marks=[f"E{n}"]) for n in (1, 2, 3)]
    claims.append(Claim(text="Bob Stone ran the mill.", marks=["E9"]))
    verdict = await validate(case, Draft(claims=claims), None)
    assert [a.citations[0].doc for a in verdict.accepted] == ["1.txt", "mill.txt"]
