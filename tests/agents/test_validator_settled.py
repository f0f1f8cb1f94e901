"""What may be shown while a draft is still written: the verdict holds it first, whatever follows."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from agents.planner import Plan, Step, single
from agents.synthesizer import Case, Claim, Draft, taken
from agents.validator import Accepted, Judgement, Judgements, Verdict, settled, validate
from infra.llm.ask import Asker, Reply
from infra.llm.partial import Elements
from tests.agents.models import evidence

SENTENCES = {f"E{n}": f"Shop {n} opened in May 200{n}." for n in range(1, 5)}
SHARED = "All shops close at noon."
EVIDENCE = [evidence(f"{text} {SHARED}", f"{label}.txt", label) for label, text in SENTENCES.items()]
QUESTION = "When did shop 1 and shop 2 open?"
PARTS = Plan(steps=[Step(id="q1", question="When did shop 1 open?"), Step(id="q2", question="When did shop 2 open?")])
CASES = [Case(QUESTION, plan, EVIDENCE, most) for plan in (single(QUESTION), PARTS) for most in (1, 2, 3)]


class Judge(Asker):
    """Finds supported what it is told to, claim by claim."""

    def __init__(self, supported: Sequence[bool]) -> None:
        self._supported = supported

    def without_rules(self) -> "Judge":
        return self

    async def ask(self, messages: Sequence[BaseMessage], schema: type[Any], **_: Any) -> Reply[Any]:
        said = [Judgement(claim=str(n), supported=yes) for n, yes in enumerate(self._supported, start=1)]
        return Reply(Judgements(judgements=said), repaired=False, raw="")


def verdict(case: Case, claims: Sequence[Claim], supported: Sequence[bool]) -> Verdict:
    return asyncio.run(validate(case, Draft(claims=list(claims)), Judge(supported)))


def copied(n: int) -> Claim:
    return Claim(text=SENTENCES[f"E{n}"], marks=[f"E{n}"])


def judged(n: int) -> Claim:
    return Claim(text=f"Shop {n} opened, in May 200{n}.", marks=[f"E{n}"])


CLAIMS = st.one_of(
    st.integers(1, 4).map(copied),
    st.integers(1, 4).map(judged),
    st.lists(st.sampled_from(list(SENTENCES)), min_size=1, max_size=3, unique=True).map(
        lambda marks: Claim(text=SHARED, marks=marks)
    ),
    st.just(Claim(text="The moon is made of cheese.", marks=["E1"])),
    st.just(Claim(text=SENTENCES["E1"], marks=["E9"])),
)


@given(st.sampled_from(CASES), st.lists(CLAIMS, max_size=7), st.lists(st.booleans(), min_size=7, max_size=7))
@example(CASES[1], [copied(1), copied(2), copied(1)], [True])
@example(CASES[1], [judged(1), copied(2)], [True])
@example(CASES[4], [copied(1), judged(1), copied(2)], [True])
def test_the_verdict_begins_with_what_was_settled_whatever_follows(
    case: Case, claims: list[Claim], supported: list[bool]
) -> None:
    accepted = verdict(case, claims, supported).accepted
    shown: list[Accepted] = []
    for written in range(len(claims) + 1):
        now = settled(case, claims[:written])
        assert now[: len(shown)] == shown, "a sentence that was shown stays"
        shown = now
    assert accepted[: len(shown)] == shown


PASSAGES = {e.label: e.passage for e in EVIDENCE}
SAID = st.lists(
    st.sampled_from(
        [
            *SENTENCES.values(),
            SHARED,
            *(
                "So it is.",
                "Shop 1 opened",
                "in 2001. Why?",
                "e.g. Mr.",
                "\u2600",
                "\U0001f600 \U0001f600",
                "- ?!",
                "...",
                '"Oh!"',
            ),
            *("[E2]", "[E1, E2].", "A \\ B", "Shop 2. opened.", "\n", "\u3002", "}", '{"text": "'),
        ]
    ),
    max_size=6,
).map(" ".join)
WRITTEN = st.lists(
    st.builds(Claim, marks=st.lists(st.sampled_from([*SENTENCES, "E9"]), min_size=1, max_size=3), text=SAID), max_size=4
)


@given(st.sampled_from(CASES), WRITTEN, st.lists(st.booleans(), min_size=9, max_size=9), st.integers(1, 9))
@example(CASES[2], [Claim(marks=["E1"], text=f"{SENTENCES['E1']} {SHARED} So it is.")], [False], 1)
@example(CASES[2], [Claim(marks=["E1"], text=f"{SENTENCES['E1']} \u2600")], [False], 1)
@example(CASES[2], [Claim(marks=["E1"], text=f"{SENTENCES['E1']} [E2] {SHARED} [E3]")], [True], 1)
@example(CASES[2], [Claim(marks=["E1"], text=t) for t in (SHARED, f"{SHARED} {SENTENCES['E1']}")], [True], 1)
def test_the_verdict_begins_with_what_was_shown_of_a_reply_that_was_still_written(
    case: Case, written: list[Claim], supported: list[bool], size: int
) -> None:
    shown: list[Accepted] = []

    def told(whole: Sequence[Claim], begun: Claim | None) -> None:
        nonlocal shown
        now = settled(case, taken(PASSAGES, whole, begun).claims)
        assert now[: len(shown)] == shown, "a sentence that was shown stays"
        shown = now

    claims = [claim.model_dump(include={"marks", "text"}) for claim in written]
    reply, hearer = json.dumps({"claims": claims}, ensure_ascii=size % 2 == 0), Elements("claims", Claim, told)
    for start in range(0, len(reply), size):
        hearer.said(reply[start : start + size])
    accepted = verdict(case, taken(PASSAGES, written).claims, supported).accepted
    assert accepted[: len(shown)] == shown


def test_a_copied_sentence_is_shown_with_the_first_word_after_it() -> None:
    told: list[list[str]] = []
    hearer = Elements(
        "claims",
        Claim,
        lambda whole, begun: told.append([s.text for s in settled(CASES[2], taken(PASSAGES, whole, begun).claims)]),
    )
    for word in f'{{"claims": [{{"marks": ["E1"], "text": "{SENTENCES["E1"]} All '.split(" "):
        hearer.said(f"{word} ")
    assert told == [[SENTENCES["E1"]]]


def test_a_claim_that_begins_as_an_earlier_one_is_said_whole_and_what_was_said_is_not_said_again() -> None:
    hey, first, second = "Bob: Hey!", "The mill is shut.", "The bakery is open."
    case = Case(QUESTION, single(QUESTION), [evidence(f"{hey} {first}\n\n{hey} {second}")], 2)
    passages = {e.label: e.passage for e in case.evidence}
    said = [f"{hey} {first}", f"{hey} {second}", hey, f"{hey} {first}", second]
    claims = taken(passages, [Claim(marks=["E1"], text=text) for text in said]).claims
    expected = [(hey, False), (first, True), (hey, False), (second, True), (second, False)]
    assert [(one.text, one.follows) for one in verdict(case, claims, []).accepted] == expected
    assert [(one.text, one.follows) for one in settled(case, claims)] == expected
    assert [one.text for one in settled(case, claims[:3])] == [hey, first], "it may still be an old one"


@given(st.lists(st.integers(1, 4), max_size=6))
def test_copies_of_a_single_question_are_all_settled_while_documents_are_left(numbers: list[int]) -> None:
    case = Case(QUESTION, single(QUESTION), EVIDENCE, 4)
    assert [s.text for s in settled(case, list(map(copied, numbers)))] == list(
        dict.fromkeys(SENTENCES[f"E{n}"] for n in numbers)
    )


def test_a_claim_that_needs_the_judge_ends_the_row() -> None:
    assert [s.text for s in settled(CASES[2], [copied(1), judged(2), copied(3)])] == [SENTENCES["E1"]]


def test_a_claim_that_code_refuses_is_passed_over() -> None:
    nowhere = Claim(text="The moon is made of cheese.", marks=["E1"])
    assert [s.text for s in settled(CASES[2], [nowhere, copied(1)])] == [SENTENCES["E1"]]


def test_a_part_whose_turn_has_not_come_may_still_take_the_documents() -> None:
    case = Case(QUESTION, PARTS, EVIDENCE, 2)
    assert settled(case, [copied(2)]) == [], "the first part's first sentence comes before it"
    assert [s.text for s in settled(case, [copied(2), copied(1)])] == [SENTENCES["E2"], SENTENCES["E1"]]


def test_a_sentence_that_a_later_one_may_leave_with_fewer_places_waits() -> None:
    case = Case(QUESTION, single(QUESTION), EVIDENCE, 2)
    assert settled(case, [Claim(text=SHARED, marks=["E1", "E2"])]) == []
