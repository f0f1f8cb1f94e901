"""What the answer cache keeps and says, as plain values; no code that touches a disk.

A question is matched inside its ``Partition`` only: the partition is part of its key and of the place its vector is
kept at. Times are seconds since 1970, costs are tokens and seconds. ``Gates`` is what decides whether the answer to one
question may be served for another (``infra.cache.gates``).
"""

import json
import unicodedata
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

from infra.store.records import digest_of

Outcome = Literal["hit", "near", "miss", "off"]
"""hit: serve it; near: ask a verifier first; miss: answer anew; off: the cache could not be asked."""

MAX_QUESTION_CHARS = 4_000
MAX_ANSWER_BYTES = 1_000_000
MAX_SEARCHES = 16
"""Searches an answer may rest on: all are made again when documents change."""

FOLDER = "answers"
"""In the tenant's folder, where the questions are kept."""

FORM = "answers-1"
"""Part of every key: answers kept in another form are not found."""

REMEMBERED = 64
"""Partitions whose digests are at hand."""


@dataclass(frozen=True, slots=True)
class Partition:
    """All that an answer depends on besides the question and the documents' state.

    Attributes:
        tenant: whose documents.
        roots: absolute paths of the roots in play; where everything is, the roots ingested, since documents are named
            for them.
        models: names of the language and embedding models that made it.
        prompts: version or digest of the prompts.
        retrieval: the settings of the retrieval, as JSON.
        versions: versions of the code that made it (splitter, agents).
    """

    tenant: str
    roots: tuple[str, ...]
    models: tuple[str, ...]
    prompts: str
    retrieval: str
    versions: tuple[str, ...]

    @property
    def digest(self) -> str:
        """32 hex characters; another one for each different partition."""
        return _digest(self)


@lru_cache(maxsize=REMEMBERED)
def _digest(partition: Partition) -> str:
    """Each question wants it several times, and its JSON takes a tenth of a millisecond."""
    return digest_of(FORM, json.dumps(asdict(partition), sort_keys=True))


def normal(text: str) -> str:
    """The text in Unicode's composed form (NFC), its runs of blanks as one; letters keep their case."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def noted(question: str) -> str:
    """A question as decisions about it are noted: normal, no longer than any that is kept, fit for a database."""
    return _writable(normal(question[:MAX_QUESTION_CHARS]))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is asked: standing alone, without the conversation around it."""

    text: str
    partition: Partition

    @property
    def key(self) -> str:
        """The same for the same normal text in the same partition; 32 hex characters."""
        return digest_of(self.partition.digest, normal(self.text))


@dataclass(frozen=True, slots=True)
class Search:
    """What one search brought back; equal ones let an answer stand.

    Attributes:
        query: what was searched.
        roots: absolute paths it was limited to; None: everything.
        context: further words it was made with.
        passages: id and content digest of each passage, best first.
        likely: whether an answer was judged likely.
    """

    query: str
    roots: tuple[str, ...] | None
    passages: tuple[tuple[str, str], ...]
    likely: bool
    context: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer cost to make, so what serving it saves."""

    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is kept.

    Attributes:
        key: its question's (see ``Asked.key``).
        stamp: another one each time an answer is stored under the key.
        partition: the partition's digest.
        question: the question's text.
        answer: the answer as JSON.
        searches: what it rests on.
        generation: the state of the documents that its searches were last known to be true of.
        cost: what it cost.
        created: when it was stored.
        reading: what the gates want to know of the question.
        words: by what it is found without vectors (``Gates.words``); written only.
    """

    key: str
    stamp: str
    partition: str
    question: str
    answer: str
    searches: tuple[Search, ...]
    generation: int
    cost: Cost
    created: float
    reading: bytes = b""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the cache said to a question, and why.

    Attributes:
        outcome: what to do.
        reason: why, in plain words.
        question: what was asked.
        candidate: the question considered, or "".
        at: when.
        kept: the answer, for a hit and for what is near.
        generation: the state of the documents in which the searches of an answer made now begin: the vectors follow it.
            ``keep`` wants it back. None where the cache is off.
        partition: the partition's digest.
    """

    outcome: Outcome
    reason: str
    question: str
    candidate: str
    at: float
    kept: Kept | None = None
    generation: int | None = None
    partition: str = ""

    def because(self, outcome: Outcome, reason: str) -> "Decision":
        """The same, decided otherwise."""
        return replace(self, outcome=outcome, reason=reason)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the cache may take.

    Attributes:
        answers: answers kept at most; the least recently used go first.
        megabytes: what they may take together.
        days: how long an answer is served.
        candidates: live candidates that the gates look at.
        least_cosine: candidates that are less similar are not looked at. The gates decide, and serve nothing wrong at
            any bound from .5 to .92 (graph.bench cache: 5,120 generated negatives, 1,606 questions over documents; of
            banking77's 13,000 questions nothing below .77). At .75 90.8 % of the rephrasings hit, at .85 89.7 %; the
            difference is typos. Below, mostly other questions are added, for a verifier to refuse.
        ask_seconds: after this a question is answered anew.
        decisions: decisions remembered.
    """

    answers: int = 10_000
    megabytes: float = 256.0
    days: float = 30.0
    candidates: int = 5
    least_cosine: float = 0.75
    ask_seconds: float = 2.0
    decisions: int = 10_000


@dataclass(frozen=True, slots=True)
class Stats:
    """What the cache holds and did; counted over all processes.

    Attributes:
        answers: answers kept now.
        megabytes: what they take.
        hits, nears, misses, offs: decisions of each outcome.
        stored, refused: answers that entered, and that were not let in.
        gone: removed with what they rested on.
        outdated: removed because the documents would answer otherwise, the wrong ones among them.
        expired, evicted, cleared: removed for their age, for room, and by hand.
        saved_tokens, saved_seconds: what the hits would have cost.
        audited, wrong: kept answers that were compared with new ones, and those that differed.
    """

    answers: int = 0
    megabytes: float = 0.0
    hits: int = 0
    nears: int = 0
    misses: int = 0
    offs: int = 0
    stored: int = 0
    refused: int = 0
    gone: int = 0
    outdated: int = 0
    expired: int = 0
    evicted: int = 0
    cleared: int = 0
    saved_tokens: int = 0
    saved_seconds: float = 0.0
    audited: int = 0
    wrong: int = 0


class Gates(Protocol):
    """Decides whether the answer to one question may be served for another; thread-safe, bounded in time."""

    def unfit(self, asked: Asked) -> str:
        """Why no answer to such a question is kept, or ""."""
        ...

    def words(self, asked: Asked) -> str:
        """The same for questions that differ in nothing which asks anything (case, courtesy); found without vectors."""
        ...

    def reading(self, asked: Asked) -> bytes:
        """What is kept with an answer to the question, so that `judge` need not work it out again."""
        ...

    def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit", "near", "miss"], str]:
        """What to do with a candidate, and the reason in plain words."""
        ...


def _writable(text: str) -> str:
    """``text`` without halves of characters, which no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def unfit_question(text: str) -> str:
    """Why a question is answered without the cache, or ""."""
    if not normal(text):
        return "the question is empty"
    if len(text) > MAX_QUESTION_CHARS:
        return f"the question has more than {MAX_QUESTION_CHARS:,} characters"
    return "" if _writable(text) == text else "the question holds broken characters"


def unfit(kept: Kept) -> str:
    """Why an answer cannot be kept, or ""."""
    if not kept.answer:
        return "the answer is empty"
    if len(kept.answer.encode("utf-8", "replace")) > MAX_ANSWER_BYTES or _writable(kept.answer) != kept.answer:
        return f"the answer has more than {MAX_ANSWER_BYTES:,} bytes, or holds broken characters"
    if not 0 < len(kept.searches) <= MAX_SEARCHES:
        return f"the answer rests on {len(kept.searches)} searches; 1 to {MAX_SEARCHES} can be made again"
    return unfit_question(kept.question)
