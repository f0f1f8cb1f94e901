"""How long a look-up takes: until its first sentence is shown, and until the answer is whole, by size of the evidence.

Gives `run`. The embedded engine is served by a process of its own on a loopback port, with its speeds set and its
prefix cache on, and the product asks it as a vLLM server, through a session as the command line has it: counts,
streams, checks and all. Nothing is kept between questions but the server's prefix cache and open connections, which one
question asked before fills. One question at a time; times are taken by the clock of whoever asks. Questions are those
of LiHua-World with one right record. Of them count those that are routed as look-ups, save those that abstain without a
draft, which would flatter the figures; one that abstains after its drafts took their time. A round is a draft; where
there are several, the evidence of a look-up is that of the first, and the time of all of them is the look-up's.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.progress import Progress

from agents.synthesizer import Claim
from graph.bench.answers import Gold, read_gold, uncached
from graph.bench.load_engine import served
from graph.bench.report import quantiles, share
from graph.bench.tokens import DECODE, PREFILL, SEED
from graph.bench.tokens_arms import Swap, swapped
from graph.session import Ask, Session, prepare
from infra.engine.tokenizer import encode
from infra.errors import ConfigurationError
from infra.llm.ledger import Call
from infra.llm.partial import Elements
from infra.resources import Resources
from infra.settings import Settings, VllmSettings

QUESTIONS = 24
SIZES = (200, 400, 800, 1_600)
"""Tokens of evidence."""
EVIDENCE = ("clear_tokens", 1)
"""The setting of retrieval that bounds the evidence, and how many tokens one of its units is: a passage has 200."""
AIMS = {"end_to_end": 1.5, "first_useful": 0.7}
"""Seconds, p50, with at most ``AIM_TOKENS`` of evidence."""
AIM_TOKENS = 400
TIMES = ("end_to_end", "first_useful", "first_character", "prefill", "decode", "retrieval", "overhead")

_TEXT = re.compile(r'"text"\s{0,8}:\s{0,8}"[^"]')


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured: ``questions`` are asked at each of ``sizes`` (tokens of evidence); speeds in tokens/s."""

    data: Path
    questions: int = QUESTIONS
    sizes: Sequence[int] = SIZES
    prefill: float = PREFILL
    decode: float = DECODE


@dataclass(slots=True)
class Asked:
    """One question as it was answered; times in seconds since it was asked, None where there was none."""

    began: float = field(default_factory=time.perf_counter)
    calls: list[Call] = field(default_factory=list[Call])
    first_character: float | None = None
    first_claim: tuple[int, int] | None = None  # tokens of the reply up to its end; of them, of its text
    first_sentence: float | None = None
    drafts: list[int] = field(default_factory=list[int])  # tokens of evidence that each of them was shown
    end_to_end: float = 0.0
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def now(self) -> float:
        """Seconds since it was asked."""
        return time.perf_counter() - self.began

    @property
    def counts(self) -> bool:
        """Whether it is a look-up that was answered, or abstains after a draft."""
        return self.answer["route"]["kind"] == "lookup" and (bool(self.drafts) or not self.answer["abstained"])

    @property
    def evidence_tokens(self) -> int:
        """Tokens of the first draft's evidence: what further rounds add is no other question."""
        return self.drafts[0] if self.drafts else 0

    @property
    def times(self) -> dict[str, float]:
        """The times of ``TIMES``; a sentence that nobody saw before is of use when the answer is there."""
        firsts = [call.first_token_seconds or 0.0 for call in self.calls]
        sent = [call.attempts[-1].seconds for call in self.calls if call.attempts]
        retrieval = float(self.answer["seconds"]["retrieval"])
        return {
            "end_to_end": self.end_to_end,
            "first_useful": self.first_sentence or self.end_to_end,
            "first_character": self.first_character or self.end_to_end,
            "prefill": sum(firsts),
            "decode": sum(sent) - sum(firsts),
            "retrieval": retrieval,
            "overhead": self.end_to_end - sum(sent) - retrieval,
        }


def run(options: Options, settings: Settings, console: Console) -> dict[str, Any]:
    """Measure; the documents are kept under the settings' data directory.

    Raises:
        ConfigurationError: ``data`` is not the folder, or holds no question with one right record.
        BackendError, StoreError: see `Session.ask`.
    """
    data = options.data / "lihua_world" if (options.data / "lihua_world").is_dir() else options.data
    gold = questions(read_gold(data), options.questions + 1)
    settings = uncached(settings.model_copy(update={"data_dir": settings.data_dir / "evaluation" / "tokens"}))
    with closing(Resources(settings.model_copy(update={"backend": "engine"}))) as resources:
        roots = prepare(resources, [data / "records"], console) or []
    rows: dict[str, dict[str, Any]] = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(options.sizes) * len(gold))
        for size in options.sizes:
            progress.update(bar, description=f"{size:,} tokens of evidence")
            with served(options.prefill, options.decode) as engine:
                own = with_server(with_evidence(settings, size), engine.base_url)
                rows[str(size)] = figures_of(asyncio.run(_asked(own, roots, gold, lambda: progress.advance(bar))), size)
    return {"sizes": rows, "aims": aims(rows), "conditions": conditions(options)}


def questions(gold: Sequence[Gold], number: int) -> list[Gold]:
    """Return a sample of the questions with one right record. Raises ConfigurationError where there is none."""
    single = [g for g in gold if g.kind == "single" and g.records]
    if not single:
        raise ConfigurationError("--data: no question there has one right record; give the folder lihua_world")
    return Random(SEED).sample(single, min(len(single), number))


def with_evidence(settings: Settings, tokens: int) -> Settings:
    """Return the settings under which a draft is shown about so many tokens of evidence."""
    name, unit = EVIDENCE
    retrieval = settings.retrieval.model_copy(update={name: max(1, tokens // unit)})
    return settings.model_copy(update={"retrieval": retrieval})


def with_server(settings: Settings, url: str) -> Settings:
    """Return the settings under which all agents ask the server at ``url``, as vLLM."""
    server: dict[str, Any] = {"backend": "vllm", "fallbacks": [], "vllm": VllmSettings(base_url=url)}
    return settings.model_copy(update=server)


async def _asked(
    settings: Settings, roots: Sequence[str], gold: Sequence[Gold], done: Callable[[], None]
) -> list[Asked]:
    """Ask one after the other; the first is asked to warm up and is not counted."""
    resources = Resources(settings)
    rows: list[Asked] = []
    resources.ledger.listen(lambda call: rows[-1].calls.append(call))
    listening = Swap("agents.synthesizer", "Elements", lambda _: _noting(lambda: rows[-1]))
    shown = Swap("agents.synthesizer", "case_messages", lambda messages: counting(messages, lambda: rows[-1]))
    with swapped([listening, shown]):
        async with Session(resources, Console(stderr=True), keep_threads=False) as session:
            for one in gold:
                rows.append(Asked())
                ask = Ask(one.question, roots, thread=one.id, cache=False)
                rows[-1].answer = await session.ask(ask, tell=lambda event: _noted(rows[-1], event))
                rows[-1].end_to_end = rows[-1].now
                done()
    return rows[1:]


def _noted(row: Asked, event: Mapping[str, Any]) -> None:
    """Note when the first sentence was shown that stayed."""
    if event["event"] == "withdrawn":
        row.first_sentence = None
    elif row.first_sentence is None:
        row.first_sentence = row.now


def _noting(row: Callable[[], Asked]) -> type[Elements[Claim]]:
    """Return a listener that notes when the first claim's text began and what it took, and listens as ever."""

    class Noting(Elements[Claim]):
        def began(self) -> None:
            self._words = ""
            super().began()

        def said(self, words: str) -> None:
            one, is_first = row(), not self._found
            self._words += words if is_first else ""
            if one.first_character is None and _TEXT.search(self._words):
                one.first_character = one.now
            super().said(words)
            if is_first and self._found:
                one.first_claim = (len(encode(self._words)), len(encode(self._found[0].text)))

    return Noting


def counting(messages: Callable[..., list[BaseMessage]], row: Callable[[], Asked]) -> Callable[..., list[BaseMessage]]:
    """Return what renders a draft's prompt and notes of each how many of the engine's tokens its sources are."""

    def rendered(*case: Any) -> list[BaseMessage]:
        prompt = messages(*case)
        text = prompt[-1].text
        row().drafts.append(len(encode(text[max(0, text.find("<source ")) : text.rfind("</source>") + 1])))
        return prompt

    return rendered


def figures_of(rows: Sequence[Asked], size: int) -> dict[str, Any]:
    """Return the figures of one size: seconds as p50 and p95, over the look-ups that count.

    ``within`` are those whose evidence, in the first round, really is at most ``size`` tokens. ``rounds`` has how many
    look-ups took so many rounds.
    """
    counted = [row for row in rows if row.counts]
    within = [row for row in counted if row.evidence_tokens <= size]
    by_rules = [row for row in counted if not _calls(row, "router")]
    by_model = [row for row in counted if _calls(row, "router")]
    claims = [row.first_claim for row in counted if row.first_claim]
    drafts = [call for row in counted for call in _calls(row, "synthesizer")]
    return {
        "asked": len(rows),
        "lookups": len(counted),
        "abstained": sum(row.answer["abstained"] for row in counted),
        "rounds": _rounds(counted),
        "routed_by_rules": len(by_rules),
        "routed_by_model": len(by_model),
        "shown_early": share(sum(row.first_sentence is not None for row in counted), len(counted)),
        "evidence_tokens": quantiles([row.evidence_tokens for row in counted]),
        "calls": quantiles([len(row.calls) for row in counted]),
        "draft_prompt_tokens": quantiles([call.prompt_tokens for call in drafts]),
        "draft_uncached_tokens": quantiles([call.prompt_tokens - call.cached_tokens for call in drafts]),
        "draft_reply_tokens": quantiles([call.completion_tokens for call in drafts]),
        "first_claim_tokens": quantiles([claim[0] for claim in claims]),
        "first_claim_schema_tokens": quantiles([claim[0] - claim[1] for claim in claims]),
        **{name: quantiles([row.times[name] for row in counted]) for name in TIMES},
        "by_rules": _brief(by_rules),
        "by_model": _brief(by_model),
        "within": _brief(within),
    }


def _brief(rows: Sequence[Asked]) -> dict[str, Any]:
    times = {name: quantiles([row.times[name] for row in rows]) for name in (*AIMS, "first_character")}
    return {"lookups": len(rows), "rounds": _rounds(rows), **times}


def _rounds(rows: Sequence[Asked]) -> dict[str, int]:
    return {str(rounds): number for rounds, number in sorted(Counter(len(row.drafts) for row in rows).items())}


def _calls(row: Asked, agent: str) -> list[Call]:
    return [call for call in row.calls if call.scope.agent == agent]


def aims(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the aims in seconds, and whether the look-ups with no more evidence than they are set for reach them."""
    sizes = [size for size in map(int, rows) if size <= AIM_TOKENS and rows[str(size)]["within"]["lookups"]]
    if not sizes:
        return {"evidence_tokens": None}
    row = rows[str(max(sizes))]["within"]
    reached = {f"{name}_reached": row[name]["p50"] <= seconds for name, seconds in AIMS.items()}
    return {"evidence_tokens": max(sizes), **AIMS, **reached}


def conditions(options: Options) -> dict[str, Any]:
    """Return what the figures rest on."""
    return {
        "prefill_tokens_per_second": options.prefill,
        "decode_tokens_per_second": options.decode,
        "prefix_cache": True,
        "at_once": 1,
        "evidence_setting": f"DOCMIND_RETRIEVAL__{EVIDENCE[0].upper()}",
    }
