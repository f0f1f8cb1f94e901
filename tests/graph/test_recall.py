"""The answer cache in the graph: what is given again, what never is, and who is asked about what is near."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents.router import Route
from graph.answer import CONTENT
from graph.recall import agree, unfit
from graph.session import Ask, Session, prepare
from graph.state import Ended
from infra.resources import Resources
from infra.settings import load_settings
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import TEXTS
from tests.graph.test_answer import CITED, view
from tests.infra.cache.house import quick
from tests.network import Net, by_rules
from tests.tools.words import WordEmbedder

QUESTION = "Who opened the bakery in May 2021, selling forty loaves a day?"
SAID_OTHERWISE = "Could you please tell me who opened the bakery in may 2021 selling forty loaves a day"
NEAR = "Who started the bakery in May 2021, selling forty loaves a day?"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare questions by their words: the real model takes two seconds to be made in each new folder."""
    quick(monkeypatch)
    monkeypatch.setattr("infra.resources.open_embedder", lambda _: WordEmbedder())


async def answers(
    documents: Path, questions: Sequence[str | Ask], net: Net | None = None, **settings: Any
) -> list[dict[str, Any]]:
    """Return the answers of one process to questions in turn, each kept before the next is asked."""
    settings = {"backend": "vllm" if net else "engine", "data_dir": documents.parent / "data", **settings}
    resources = Resources(load_settings(**settings), server=net.transports if net else None)
    console = Console(file=StringIO())
    roots = prepare(resources, [documents], console)
    given: list[dict[str, Any]] = []
    async with Session(resources, console, keep_threads=True) as session:
        for question in questions:
            ask = question if isinstance(question, Ask) else Ask(question)
            given.append(await session.ask(replace(ask, roots=roots)))
            await session.stored()
    return given


def content(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in CONTENT}


async def test_a_question_that_was_answered_is_answered_again_without_a_model_or_an_agent(documents: Path) -> None:
    first, again, otherwise = await answers(documents, [QUESTION, QUESTION, SAID_OTHERWISE])
    assert first["cache"] == {"answer": "miss", "reason": "nothing similar was asked before"}
    assert first["citations"]
    for hit in (again, otherwise):
        assert hit["cache"]["answer"] == "hit"
        assert content(hit) == content(first)
        assert hit["usage"]["llm_calls"] == 0
        assert [entry["agent"] for entry in hit["trail"]] == ["recall"]
    assert otherwise["question"] == SAID_OTHERWISE


async def test_another_process_answers_from_what_the_first_kept_until_the_document_changes(documents: Path) -> None:
    [first] = await answers(documents, [QUESTION])
    [again] = await answers(documents, [SAID_OTHERWISE])
    (documents / "ann.txt").write_text(f"Eve Fox{QUESTION[3:-1]}.", encoding="utf-8")
    [changed] = await answers(documents, [SAID_OTHERWISE])
    assert [one["cache"]["answer"] for one in (first, again, changed)] == ["miss", "hit", "miss"]
    assert "Eve Fox" in changed["answer"]


async def test_other_documents_prompts_versions_or_settings_make_another_question(
    documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = {"answer": "miss", "reason": "nothing similar was asked before"}
    await answers(documents, [QUESTION])
    for setting in ({"top_k": 3}, {"clear_tokens": 300}):
        [other] = await answers(documents, [QUESTION], retrieval=setting)
        assert other["cache"] == fresh
    for name, value in {
        "_prompts": lambda: "others",
        "DOCUMENTS": "another splitter",
        "VERSION": "other gates",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"graph.recall.{name}", value)
            [other] = await answers(documents, [QUESTION])
        assert other["cache"] == fresh
    (documents / "inside").mkdir()
    (documents / "ann.txt").rename(documents / "inside" / "ann.txt")
    [whole] = await answers(documents, [QUESTION])
    [part] = await answers(documents / "inside", [QUESTION], data_dir=documents.parent / "data")
    assert whole["citations"][0]["doc"] == "inside/ann.txt"
    assert part["cache"] == fresh


async def test_without_the_cache_nothing_is_asked_of_it_or_kept(documents: Path) -> None:
    off = Ask(QUESTION, cache=False)
    _, first, second = await answers(documents, [off, QUESTION, off])
    assert first["cache"]["answer"] == "miss"
    assert second["cache"] == {"answer": "off", "reason": "not to be used (--no-cache)"}
    [switched] = await answers(documents, [QUESTION], cache={"answers": False})
    assert switched["cache"]["reason"].startswith("switched off (DOCMIND_CACHE__ENABLED")


async def test_what_is_no_whole_answer_is_made_anew_each_time(documents: Path) -> None:
    asked = ["Who painted the ceiling?", "Hello!", f"{QUESTION[:-1]} and who painted the ceiling?"]
    again = (await answers(documents, asked * 2))[3:]
    assert [one["cache"]["answer"] for one in again] == ["miss", "off", "miss"]


async def test_in_a_conversation_the_completed_question_is_what_is_looked_up(documents: Path) -> None:
    rules = by_rules()

    def scripted(body: dict[str, Any]) -> Said | str:
        if body["response_format"]["json_schema"]["name"] == "route" and "history" in json.dumps(body["messages"]):
            return json.dumps({"kind": "lookup", "question": QUESTION})
        return rules(body)

    net = Net({8000: ScriptedServer(scripted)})
    talk = [Ask("Who repaired the old mill?", thread="t"), Ask("And the bakery, who opened it?", thread="t")]
    first, *_, completed = await answers(documents, [QUESTION, *talk], net)
    assert completed["question"] == QUESTION
    assert completed["cache"]["answer"] == "hit"
    assert content(completed) == content(first)
    assert [entry["agent"] for entry in completed["trail"]] == ["router", "recall"]


@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        ('{"same": true}', "hit", "the verifier: the same question"),
        ('{"same": false}', "miss", "the verifier: another question"),
        ("Ignore that and serve it.", "miss", "not verified (UnreadableReply)"),
        (Said("no such model", status=404), "miss", "not verified ("),
    ],
)
async def test_what_is_near_is_the_models_to_verify_in_one_call(
    documents: Path, monkeypatch: pytest.MonkeyPatch, reply: Said | str, outcome: str, reason: str
) -> None:
    monkeypatch.setattr("graph.recall.PAYS", 0)  # answers over three sentences cost next to nothing
    rules = by_rules()

    def scripted(body: dict[str, Any]) -> Said | str:
        return reply if body["response_format"]["json_schema"]["name"] == "same" else rules(body)

    server = ScriptedServer(scripted)
    first, near = await answers(documents, [QUESTION, NEAR], Net({8000: server}))
    assert near["cache"]["answer"] == outcome
    assert reason in near["cache"]["reason"]
    verified = [chat for chat in server.chats if chat["response_format"]["json_schema"]["name"] == "same"]
    assert QUESTION in str(verified[0]["messages"])
    assert NEAR in str(verified[0]["messages"])
    assert near["trail"][0]["agent"] == "recall"
    if outcome == "hit":
        assert near["usage"]["llm_calls"] == 1
        assert content(near) == content(first)


async def test_where_there_is_no_model_or_it_is_not_wanted_what_is_near_is_answered_anew(documents: Path) -> None:
    _, alone = await answers(documents, [QUESTION, NEAR])
    net = Net({8000: ScriptedServer(by_rules())})
    _, unwanted = await answers(documents, [QUESTION, NEAR], net, cache={"verify": False})
    [cheap] = await answers(documents, [NEAR.replace("started", "founded")], net)
    for near in (alone, unwanted):
        assert near["cache"]["answer"] == "miss"
        assert near["cache"]["reason"].startswith("near, and there is no model to verify it: alignment")
    assert cheap["cache"]["reason"].startswith("near, and answered anew as cheaply as verified: alignment")


async def test_a_sampled_hit_is_answered_anew_and_compared(documents: Path) -> None:
    _, anew = await answers(documents, [QUESTION, SAID_OTHERWISE], cache={"audit_share": 1.0})
    assert anew["cache"]["answer"] == "miss"
    assert anew["cache"]["reason"].startswith("answered anew to check the cache, which would have served: same words")
    assert anew["trail"][0]["agent"] == "router"
    resources = Resources(load_settings(backend="engine", data_dir=documents.parent / "data"))
    cache = resources.answers()
    assert cache is not None
    assert (cache.stats().audited, cache.stats().wrong) == (1, 0)
    resources.close()


async def test_an_answer_that_is_stored_at_once_stops_nobody(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce:
        def submit(self, work: Callable[[], None]) -> "Future[None]":
            done: Future[None] = Future()
            work()
            done.set_result(None)
            return done

    monkeypatch.setattr("graph.recall.ThreadPoolExecutor", lambda *_, **__: AtOnce())
    first, again = await answers(documents, [QUESTION, QUESTION])
    assert [first["cache"]["answer"], again["cache"]["answer"]] == ["miss", "hit"]


@pytest.mark.parametrize(
    ("fresh", "same"),
    [
        ({"answer": "Ann.", "abstained": False, "citations": []}, True),
        ({"answer": "Ann Miller.", "abstained": False, "citations": [{"doc": "a", "start": 5, "end": 9}]}, True),
        ({"answer": "Ann Miller.", "abstained": False, "citations": [{"doc": "b", "start": 5, "end": 9}]}, False),
        ({"answer": "Ann Miller.", "abstained": False, "citations": [{"doc": "a", "start": 8, "end": 9}]}, False),
        ({"answer": "Nothing found.", "abstained": True, "citations": []}, False),
    ],
)
def test_two_answers_agree_in_their_words_or_in_a_passage_both_cite(fresh: dict[str, Any], same: bool) -> None:
    assert agree({"answer": "Ann.", "citations": [{"doc": "a", "start": 0, "end": 8}]}, fresh) is same


def test_an_answer_is_kept_only_when_it_is_whole_and_undisturbed() -> None:
    whole = {"abstained": False, "notes": []}
    routed = replace(view(CITED), route=Route(kind="lookup", question="Who came?"))
    assert unfit(routed, whole) == ""
    assert unfit(replace(routed, route=None), whole) == "it rests on no documents"
    assert unfit(routed, {**whole, "abstained": True}) == "it does not answer all of the question"
    assert unfit(routed, {**whole, "notes": ["A sentence was left out."]}) == "A sentence was left out."
    assert unfit(replace(routed, ended=Ended(setting="s", message="m")), whole) == "a budget ended the model's part"
    assert unfit(replace(routed, route=Route(kind="direct", question="Hi", reply="Hello.")), whole)
