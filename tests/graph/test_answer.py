"""The answer as text and as object: what is counted, what is said beside it, and what a conversation keeps of it."""

import time

from agents.router import Route
from agents.validator import Accepted, Verdict
from graph.answer import NOTHING_FOUND, answer_of, notes_of, shown, without_sources
from graph.state import Ended, Event, Question, View, Visit
from infra.llm.endpoint import Backend
from tools.citations import Citation

BACKEND = Backend("vllm", "m", "vllm 0.32", 4096, "http://127.0.0.1:8000/v1")
CITED = Accepted(text="Ann came in May.", citations=[Citation("E1", "a.txt", 3, 19, "Ann came in May.")])


def view(*accepted: Accepted, ended: Ended | None = None) -> View:
    question = Question(id="000001-m", thread="t", text="When did Ann come?", asked_at=time.time() - 10)
    route = Route(kind="lookup", question=question.text)
    return View(question, route, None, {}, [], [Verdict(accepted=list(accepted), rejected=[])], ended)


def visit(agent: str, *calls: tuple[float, float], **more: object) -> Visit:
    return Visit.model_validate({"agent": agent, "started": 0.0, "seconds": 2.0, "calls": calls, **more})


def test_seconds_that_branches_spend_side_by_side_count_once() -> None:
    visits = [visit("router", (0.0, 1.0)), visit("synthesizer", (0.5, 1.0), (4.0, 1.0)), visit("retrieval")]
    seconds = answer_of(view(CITED), visits, [], BACKEND)["seconds"]
    assert (seconds["llm"], seconds["retrieval"]) == (2.5, 2.0)
    assert seconds["overhead"] == round(seconds["total"] - 4.5, 4)


def test_a_conversation_sees_sources_and_notes_and_its_history_neither() -> None:
    text = shown(view(CITED), ["A budget ended it."])
    assert text == ("Ann came in May. [E1]\n\nSources:\n[E1] a.txt (3-19)\n\nNote: A budget ended it.")
    assert without_sources(text) == "Ann came in May. [E1]"
    assert without_sources(shown(view(), ["A budget ended it."])) == NOTHING_FOUND


def test_an_undisturbed_answer_has_no_notes() -> None:
    answer = answer_of(view(CITED), [visit("router"), visit("synthesizer")], [], BACKEND)
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
    answer = answer_of(view(CITED, ended=ended), visits, [], BACKEND)
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


def test_a_judgement_that_could_not_be_read_is_not_said_to_be_replaced() -> None:
    unread = visit("validator", events=[Event(kind="fallback", detail="judge: the reply was empty")])
    assert notes_of(view(CITED), [unread]) == [
        "The model's judgement could not be read; what it had to judge was not accepted."
    ]
