"""The answer as text and as object: what is counted, what is said beside it, and what a conversation keeps of it."""

import time
from dataclasses import replace

import pytest

from agents.planner import Plan, Step
from agents.router import Route, Turn
from agents.synthesizer import Draft
from agents.validator import Accepted, Rejected, Verdict
from graph.answer import NOTHING_FOUND, RULES, Author, answer_of, author_of, notes_of, shown, text_of, without_sources
from graph.run import render
from graph.state import Ended, Event, Question, View, Visit
from tools.citations import Citation

CITED = Accepted(text="Ann came in May.", citations=[Citation("E1", "a.txt", 3, 19, "Ann came in May.")])


def view(*accepted: Accepted, ended: Ended | None = None) -> View:
    question = Question(id="000001-m", thread="t", text="When did Ann come?", asked_at=time.time() - 10)
    route = Route(kind="lookup", question=question.text)
    return View(question, route, None, {}, [], [Verdict(accepted=list(accepted), rejected=[])], ended)


def claim(text: str, quote: str = "", doc: str = "a.txt") -> Accepted:
    return Accepted(text=text, citations=[Citation("E1", doc, 0, len(quote), quote)])


def compound(*parts: str, said: list[Accepted], text: str, history: list[Turn] | None = None) -> View:
    question = Question(id="000001-m", thread="t", text=text, history=history or [], asked_at=time.time())
    plan = Plan(steps=[Step(id=f"q{n}", question=part) for n, part in enumerate(parts, start=1)])
    route = Route(kind="compound", question=text)
    return View(question, route, plan, {}, [], [Verdict(accepted=said, rejected=[])])


def visit(agent: str, *calls: tuple[float, float], **more: object) -> Visit:
    return Visit.model_validate({"agent": agent, "started": 0.0, "seconds": 2.0, "calls": calls, **more})


def test_seconds_that_branches_spend_side_by_side_count_once() -> None:
    visits = [visit("router", (0.0, 1.0)), visit("synthesizer", (0.5, 1.0), (4.0, 1.0)), visit("retrieval")]
    seconds = answer_of(view(CITED), visits, [])["seconds"]
    assert (seconds["llm"], seconds["retrieval"]) == (2.5, 2.0)
    assert seconds["overhead"] == round(seconds["total"] - 4.5, 4)


def test_a_conversation_sees_sources_and_notes_and_its_history_neither() -> None:
    note = {"notes": ["A budget ended it."]}
    text = shown(answer_of(view(CITED), [], []) | note)
    assert text == ("Ann came in May. [E1]\n\nSources:\n[E1] a.txt (3-19)\n\nNote: A budget ended it.")
    assert without_sources(text) == "Ann came in May. [E1]"
    assert without_sources(shown(answer_of(view(), [], []) | note)) == NOTHING_FOUND


def test_an_undisturbed_answer_has_no_notes() -> None:
    answer = answer_of(view(CITED), [visit("router"), visit("synthesizer")], [])
    assert (answer["notes"], answer["ended_by"], answer["abstained"]) == ([], None, False)
    assert set(answer["faults"].values()) == {0}


def test_what_happened_on_the_way_is_counted_and_said() -> None:
    fallback = Event(kind="fallback", detail="draft: the reply was empty")
    moved = Event(kind="failover", detail="ollama instead of vllm")
    visits = [
        visit("router", events=[moved], retries=2, dropped=3),
        visit("synthesizer", events=[Event(kind="repair", detail="draft: cut"), fallback], cut_tokens=1200),
    ]
    ended = Ended(setting="DOCMIND_BUDGET__QUESTION_TOKENS", message="needs 10 tokens, 5 are available")
    answer = answer_of(view(CITED, ended=ended), visits, [])
    assert answer["faults"] == {"retries": 2, "repairs": 1, "fallbacks": 1, "failovers": 1, "step_downs": 0}
    assert answer["ended_by"] == {"setting": ended.setting, "message": ended.message}
    assert (
        answer["notes"]
        == notes_of(view(ended=ended), visits)
        == [
            "A budget ended the model's part (needs 10 tokens, 5 are available); rules did the rest.",
            "The model's reply could not be used; rules stood in for: synthesizer.",
            "Another model server took over: ollama instead of vllm.",
            "3 passages did not fit the model's window and were left out.",
            "1,200 tokens of a long text did not fit the model's window and were left out.",
        ]
    )


def test_a_note_that_could_not_be_read_is_no_matter_of_the_answers() -> None:
    unread = visit("compression", events=[Event(kind="fallback", detail="note: the reply was empty")])
    assert notes_of(view(CITED), [unread]) == []


def test_a_judgement_that_could_not_be_read_is_not_said_to_be_replaced() -> None:
    unread = visit("validator", events=[Event(kind="fallback", detail="judge: the reply was empty")])
    assert notes_of(view(CITED), [unread]) == [
        "The model's judgement could not be read; what it had to judge was not accepted."
    ]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (
            "Ann came.\n\nSources:\n[E2] bank.txt (0-9)\n\nNote: call 555",
            "Ann came. Sources: bank.txt (0-9) Note: call 555 [E1]",
        ),
        ("Ann came [E9].", "Ann came. [E1]"),
        ("Ann [ E2, E3 ] came[e4].", "Ann came. [E1]"),
        ("Ann came [E[E1]2].", "Ann came. [E1]"),
        ("\x1b[31mAnn\x9b2J\u202e came.\u2028", "[31mAnn 2J came. [E1]"),
    ],
)
def test_a_claim_is_one_line_whose_marks_only_code_sets(text: str, seen: str) -> None:
    assert text_of(view(claim(text))) == seen
    assert without_sources(shown(answer_of(view(claim(text)), [], []))) == seen


def test_the_name_of_a_document_forges_no_source_and_steers_no_terminal() -> None:
    forged = claim("Ann came.", "Ann\ncame", "evil\x1b[31m\nSources:\n[E9] bank.txt")
    one = "[E1] evil [31m Sources: [E9] bank.txt (0-8)"
    assert shown(answer_of(view(forged), [], [])).splitlines()[2:] == ["Sources:", one]
    answer = answer_of(view(forged), [visit("synthesizer", backend="vllm", model="m", engine="vllm\x1b[2J")], [])
    assert render(answer).splitlines() == [
        "Ann came. [E1]",
        "",
        "Sources",
        f'  {one}: "Ann came"',
        "",
        "Answered by vllm [2J.",
    ]
    assert answer["citations"][0]["doc"] == forged.citations[0].doc


def test_a_source_names_the_page_or_section_and_the_object_has_it() -> None:
    cited = [Citation("E1", "a.pdf", 3, 6, "Ann", "page 2"), Citation("E1", "a.pdf", 9, 12, "Bo.", "x\n[E9] b (0-1)")]
    two = view(Accepted(text="Ann and Bo.", citations=cited))
    places = ["[E1] a.pdf, page 2 (3-6)", "[E1] a.pdf, x [E9] b (0-1) (9-12)"]
    assert shown(answer_of(two, [], [])).splitlines()[2:] == ["Sources:", *places]
    answer = answer_of(two, [], [])
    assert answer["citations"][0]["section"] == "page 2"
    assert [line.strip() for line in render(answer).splitlines()[3:5]] == [
        f'{places[0]}: "Ann"',
        f'{places[1]}: "Bo."',
    ]


def test_a_note_is_one_line() -> None:
    [note] = notes_of(view(), [visit("router", events=[Event(kind="failover", detail="a\n\nSources:\n[E2] b")])])
    assert note == "Another model server took over: a Sources: [E2] b."


PARTS = ("When did Ann open the bakery?", "What is the price of the bakery?")
BOTH = "When did Ann open the bakery and what is the price of the bakery?"


def test_a_part_of_which_no_claim_holds_a_word_is_listed() -> None:
    assert text_of(compound(*PARTS, said=[claim("Ann opened it in May.")], text=BOTH)) == (
        "Ann opened it in May. [E1]\nNot answered: “What is the price of the bakery?”"
    )
    both = [claim("Ann opened it in May."), claim("The price is 9 euros.")]
    assert "Not answered" not in text_of(compound(*PARTS, said=both, text=BOTH))


def test_what_all_parts_share_answers_none_of_them() -> None:
    said = [claim("Ann opened the bakery in May.")]
    assert text_of(compound(*PARTS, said=said, text=BOTH)).endswith("Not answered: “What is the price of the bakery?”")


def test_the_words_around_a_claim_answer_nothing_that_it_does_not_say() -> None:
    said = [claim("Ann opened it in May.", "Ann opened it in May for a good price.", "price.txt")]
    assert "Not answered: “What is the price of the bakery?”" in text_of(compound(*PARTS, said=said, text=BOTH))


def test_a_claim_that_repeats_no_word_of_the_question_answers_the_part_its_quote_is_about() -> None:
    said = [claim("Ann opened it in May."), claim("It is 9 euros.", "The price is 9 euros.")]
    assert "Not answered" not in text_of(compound(*PARTS, said=said, text=BOTH))


def test_a_part_in_a_models_own_words_is_named_by_its_number() -> None:
    parts = (PARTS[0], "Zoe Quark was convicted of tax fraud in 2020.")
    assert text_of(compound(*parts, said=[CITED], text=BOTH)).splitlines()[1:] == [
        "Not answered: part 2 of the question"
    ]
    known = [Turn("user", "Was Zoe Quark convicted of tax fraud in 2020?")]
    assert f"Not answered: “{parts[1]}”" in text_of(compound(*parts, said=[CITED], text=BOTH, history=known))


def test_sentences_that_were_left_out_of_an_answer_are_counted() -> None:
    rejected = [Rejected(text="a", reason="b")] * 2
    some = replace(view(), verdicts=[Verdict(accepted=[CITED], rejected=rejected)])
    assert notes_of(some, []) == ["2 sentences were not supported and left out."]
    one = replace(view(), verdicts=[Verdict(accepted=[CITED], rejected=rejected[:1])])
    assert notes_of(one, []) == ["1 sentence was not supported and left out."]
    assert notes_of(replace(view(), verdicts=[Verdict(accepted=[], rejected=rejected)]), []) == []
    many = replace(some, drafts=[Draft(claims=[], omitted=4)])  # which the validator rejects as one
    assert notes_of(many, []) == ["5 sentences were not supported and left out."]


ANSWERED = {"backend": "vllm", "model": "big", "engine": "vllm 0.32"}
REFUSED = [Event(kind="budget", detail="nothing left")]


def test_an_answer_is_by_the_model_of_its_last_draft() -> None:
    router = visit("router", backend="ollama", model="small", engine="ollama 0.13")
    drafted = visit("synthesizer", **ANSWERED)
    validator = visit("validator", events=REFUSED, backend="ollama", model="small")
    assert author_of([router, drafted, validator]) == Author("vllm", "big", "vllm 0.32")
    assert author_of([router, drafted, visit("synthesizer", **ANSWERED, events=REFUSED), validator]) == RULES
    assert author_of([router, visit("synthesizer", **ANSWERED, events=[Event(kind="fallback", detail="?")])]) == RULES
    assert author_of([router, visit("retrieval")]) == Author("ollama", "small", "ollama 0.13")
    assert author_of([visit("router")]) == RULES


def test_rules_are_said_to_have_done_the_rest_only_where_they_did() -> None:
    ended = view(CITED, ended=Ended(setting="DOCMIND_BUDGET__QUESTION_CALLS", message="none left"))
    answered = [visit("router", **ANSWERED), visit("retrieval"), visit("synthesizer", **ANSWERED)]
    judged = visit("validator", events=REFUSED)
    assert notes_of(ended, [*answered, judged]) == ["A budget ended the model's part (none left)."]
    assert notes_of(ended, [*answered, judged, visit("synthesizer"), visit("validator")]) == [
        "A budget ended the model's part (none left); rules did the rest."
    ]
    assert notes_of(ended, [*answered[:2], visit("synthesizer", **ANSWERED, events=REFUSED)])[0].endswith("the rest.")
