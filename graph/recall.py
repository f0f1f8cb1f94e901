"""The answer cache as the graph uses it: asked before the work on a question begins, given what comes of it.

``recall`` decides whether an answer is given again; what is near is put to the model in one short call, where there is
a model and the call is worth it. ``keep`` takes a delivered answer and stores it in a thread of its own, off the
question's way. A sampled share of hits is answered anew instead and compared (``agree``). Between the two, a question's
decision stays in this process: one that is taken up again in another process is answered, and its answer not stored.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from loguru import logger

import agents
from agents.retrieval import Searcher, bridge
from graph.answer import CONTENT, unanswered
from graph.state import Question, Recalled, View
from infra.cache.answers import AnswerCache
from infra.cache.meaning import VERSION
from infra.cache.records import Asked, Cost, Decision, Kept, Partition, Search
from infra.errors import BackendError, ConfigurationError
from infra.llm.endpoint import Backend
from infra.settings import BackendName, Settings
from infra.store.index import Index
from infra.store.records import digest_of
from infra.text.plain import short_line
from infra.text.small_talk import small_talk
from tools.evidence import Finding
from tools.ingest_plan import VERSION as DOCUMENTS

OTHERS = ("planner", "synthesizer")
"""Agents whose models an answer depends on, beside the router and the validator, who judges what is near as well."""
STORED_SECONDS = 10.0
"""How long the end of a session waits for answers that are being stored."""
SAME_SECONDS = 1.0
"""How long a question waits while the answer to the same one is being stored."""
MOST_BEGUN = 1_024
"""Questions at work at once whose answers may be kept; of more, the newest."""
MOST_WAITING = 256
"""Answers that wait to be stored; one more is not kept."""
VERIFIER_TOKENS = 200
"""What the verifier's call takes besides its questions."""
PAYS = 4
"""An answer must have cost so many times what the verifier takes, or it is made anew at once."""
SHOWN_CHARS = 200

Same = Callable[[str, str], Awaitable[bool]]
"""Asks the model whether two questions, asked and kept, are the same."""


class House(Protocol):
    """What is needed of the house: ``graph.desk.LiveDesk`` has it."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    async def store(self) -> "tuple[Index, str, AnswerCache | None]":
        """The index, the name of the embedding model, and the cache, where it is switched on."""
        ...

    async def searcher(self) -> Searcher:
        """The search over the tenant's documents."""
        ...

    async def backend(self, agent: str, name: BackendName | None = None) -> Backend:
        """The back end that answers an agent."""
        ...


@dataclass(frozen=True, slots=True)
class _Begun:
    """A question that was asked of the cache and is being answered."""

    cache: AnswerCache
    asked: Asked
    decision: Decision
    audited: Kept | None = None


class Memory:
    """See the module's text; one for all questions of a process.

    Args:
        house: what the cache and the partition are made of.
        chance: gives numbers from 0 to 1; a hit whose number is below the settings' share is answered anew.
    """

    def __init__(self, house: House, chance: Callable[[], float] = random.random) -> None:
        self._house = house
        self._chance = chance
        self._begun: dict[str, _Begun] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="docmind-keep")
        self._lock = Lock()
        self._storing: dict[str, Future[None]] = {}

    async def recall(self, question: Question, text: str, same: Same) -> Recalled:
        """Decide whether ``text``, which stands alone, was answered before.

        Raises:
            BackendError: the model server that would be asked first does not answer.
            StoreError: the documents cannot be opened.
        """
        refused = _not_asked(question, text)
        if refused:
            return Recalled(answer="off", reason=refused)
        index, embedding, answers = await self._house.store()
        if answers is None:
            return Recalled(answer="off", reason="switched off (DOCMIND_CACHE__ENABLED, DOCMIND_CACHE__ANSWERS)")
        router = await self._house.backend("router", question.backend)
        try:
            judge = await self._house.backend("validator", question.backend)
            models = [router, *[await self._house.backend(agent, question.backend) for agent in OTHERS], judge]
        except (BackendError, ConfigurationError) as error:
            return Recalled(answer="off", reason=short_line(f"an agent's own model is not there: {error}", SHOWN_CHARS))
        searcher = await self._house.searcher()

        def decided() -> tuple[Asked, Decision]:
            asked = Asked(text, _partition(self._house.settings, question, models, embedding, index))
            self._settled(asked.key)
            return asked, answers.ask(asked, lambda old: search_again(searcher, old))

        asked, decision = await asyncio.to_thread(decided)
        if decision.outcome == "near":
            decision = await self._verified(answers, decision, text, judge, same)
        return self._begin(question, _Begun(answers, asked, decision))

    def keep(self, view: View, answer: Mapping[str, Any]) -> None:
        """Store what was delivered for a question, where it may be given again; returns at once."""
        begun = self._begun.pop(view.question.id, None)
        if begun is None or (begun.audited is None and (begun.decision.generation is None or unfit(view, answer))):
            return

        def work() -> None:
            if begun.audited is not None:
                kept = begun.audited
                begun.cache.audited(kept, same=agree(json.loads(kept.answer), answer))
            if begun.decision.generation is not None and not unfit(view, answer):
                cost = Cost(sum(answer["usage"][name] for name in ("prompt_tokens", "completion_tokens")), seconds)
                begun.cache.keep(begun.asked, words, searches, cost, generation=begun.decision.generation)

        seconds = float(answer["seconds"]["total"])
        words = json.dumps({name: answer[name] for name in CONTENT}, ensure_ascii=False)
        searches = searches_of(view)
        with self._lock:
            if len(self._storing) >= MOST_WAITING:
                return
            stored = self._storing[begun.asked.key] = self._worker.submit(work)
        # one that is done already is called back at once, in this thread: not under the lock
        stored.add_done_callback(lambda done: self._done(begun.asked.key, done))

    def forget(self, question_id: str) -> None:
        """Drop what is known of a question that came to no answer."""
        self._begun.pop(question_id, None)

    def stored(self) -> None:
        """Wait, in bounded time, until what was given to `keep` is stored; blocking."""
        with self._lock:
            storing = list(self._storing.values())
        wait(storing, STORED_SECONDS)

    def _settled(self, key: str) -> None:
        with self._lock:
            storing = self._storing.get(key)
        if storing is not None:
            wait([storing], SAME_SECONDS)

    def _done(self, key: str, done: "Future[None]") -> None:
        with self._lock:
            if self._storing.get(key) is done:
                del self._storing[key]
        if (error := done.exception()) is not None:
            logger.warning("an answer was not stored: {}", type(error).__name__)

    async def _verified(self, answers: AnswerCache, near: Decision, text: str, judge: Backend, same: Same) -> Decision:
        """Ask the model about what is near, where there is one and an answer is worth it."""
        kept = near.kept
        if kept is None or not self._house.settings.cache.verify or judge.name == "engine":
            return await _unverified(answers, near, "there is no model to verify it")
        if kept.cost.tokens < PAYS * (VERIFIER_TOKENS + (len(text) + len(kept.question)) // 3):
            return await _unverified(answers, near, "answered anew as cheaply as verified")
        try:
            yes = await same(text, kept.question)
        except BackendError as error:
            return await _unverified(answers, near, f"not verified ({type(error).__name__})")
        return await asyncio.to_thread(answers.verified, near, same=yes)

    def _begin(self, question: Question, begun: _Begun) -> Recalled:
        decision = begun.decision
        reason = short_line(decision.reason, SHOWN_CHARS)
        if decision.outcome != "hit" or decision.kept is None:
            self._note(question, begun)
            return Recalled(answer="off" if decision.outcome == "off" else "miss", reason=reason)
        if self._chance() < self._house.settings.cache.audit_share:
            self._note(question, replace(begun, audited=decision.kept))
            return Recalled(
                answer="miss", reason=f"answered anew to check the cache, which would have served: {reason}"
            )
        return Recalled(answer="hit", reason=reason, kept=json.loads(decision.kept.answer))

    def _note(self, question: Question, begun: _Begun) -> None:
        with self._lock:
            self._begun[question.id] = begun
            while len(self._begun) > MOST_BEGUN:  # questions that failed are never ended
                del self._begun[next(iter(self._begun))]


async def _unverified(answers: AnswerCache, near: Decision, why: str) -> Decision:
    return await asyncio.to_thread(
        partial(answers.verified, near, same=False, unasked=f"near, and {why}: {near.reason}")
    )


def _not_asked(question: Question, text: str) -> str:
    if not question.cache:
        return "not to be used (--no-cache)"
    return "small talk needs no documents" if small_talk(text) else ""


def search_again(searcher: Searcher, old: Search) -> Search:
    """Make a kept answer's search again; blocking."""
    roots = None if old.roots is None else list(old.roots)
    finding = searcher.search(old.query, roots=roots, context=old.context)
    return _search(finding, roots, old.context)


def searches_of(view: View) -> list[Search]:
    """Return the searches that an answer rests on, in the order of its steps."""
    found: list[Search] = []
    for step in view.steps:
        if step.id in view.findings:
            needed = [view.findings[n] for n in step.needs if n in view.findings]
            found.append(_search(view.findings[step.id], view.question.roots, bridge(needed)))
    return found


def _search(finding: Finding, roots: Sequence[str] | None, context: str) -> Search:
    passages = tuple((passage.id, passage.digest) for passage in finding.passages)
    limited = None if roots is None else tuple(roots)
    return Search(finding.query, limited, passages, finding.signal.likely, context)


def unfit(view: View, answer: Mapping[str, Any]) -> str:
    """Return why an answer is not to be given again, or ""; only what the validator accepted, and all of it, is."""
    if view.route is None or view.route.kind == "direct" or not view.verdicts:
        return "it rests on no documents"
    if answer["abstained"] or unanswered(view):
        return "it does not answer all of the question"
    if view.ended is not None:
        return "a budget ended the model's part"
    return str(answer["notes"][0]) if answer["notes"] else ""


def agree(kept: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    """Tell whether a fresh answer confirms a kept one: the same words, or a passage that both cite."""
    if kept["answer"] == fresh["answer"]:
        return True
    if fresh["abstained"]:
        return False
    return any(
        one["doc"] == other["doc"] and one["start"] < other["end"] and other["start"] < one["end"]
        for one in kept["citations"]
        for other in fresh["citations"]
    )


def _partition(
    settings: Settings, question: Question, models: Sequence[Backend], embedding: str, index: Index
) -> Partition:
    how = [
        settings.retrieval.model_dump(),
        settings.reranker.model_dump(exclude={"api_key"}),
        settings.agents.model_dump(),
    ]
    return Partition(
        tenant=settings.tenant,
        roots=tuple(sorted(question.roots) if question.roots is not None else index.library.roots()),
        models=(*(f"{one.name}:{one.model}" for one in models), embedding),
        prompts=_prompts(),
        retrieval=json.dumps([*how, question.roots is None], sort_keys=True),
        versions=(version("docmind"), DOCUMENTS, VERSION),
    )


@cache
def _prompts() -> str:
    """Digest of the agents' prompts."""
    folder = Path(str(agents.__file__)).parent / "prompts"
    return digest_of(*(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))))
