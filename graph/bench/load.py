"""Many questions at once over a port: our throughput beside that of the recorded requests sent again with no pause.

Gives `run`. For each number of questions at once, a fresh embedded engine is served by a process of its own on a
loopback port, with speeds set; questions of LiHua-World go through one `Session` while every request is recorded as it
goes out (`infra.measure.wire`); then a second fresh engine is sent the same model calls by a bare client, the calls of
a question one after the other. Requests for counts (``/tokenize``) are ours to make and not sent again.

The engine is one card: prompts share the prefill speed, which bounds what any client can get out of it. With room for
all (``one_card`` off) requests do not slow each other down, a replay's throughput grows with what is at once until a
processor is full, and what is seen is how many questions our process can serve.

Seconds run from the first request to the end of the last answer; what was opened once is opened before. Both engines
are warm by then: ours' by one question more, the replay's by the model calls of that question.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from graph.bench import plots
from graph.bench.answers import read_gold
from graph.bench.load_engine import Served, served
from graph.bench.overhead import indexed, plain, records_of
from graph.bench.report import quantiles
from graph.bench.tokens import DECODE, PREFILL
from graph.bench.tokens_arms import Swap, swapped
from graph.bench.watch import COMPLETIONS
from graph.session import Ask, Session
from infra.errors import ConfigurationError, DocMindError
from infra.measure.spans import Span, levels
from infra.measure.wire import ASKER, Recorder, Sent, client, replay
from infra.resources import Resources
from infra.settings import Settings

CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 2
FEWEST = 8
"""Questions of a step, at least."""

MOST = 128
SEED = 8
AIM = {"at_once": 32, "of_replay": 0.95}

__all__ = [
    "AIM",
    "CONCURRENCY",
    "DECODE",
    "PREFILL",
    "ROUNDS",
    "Options",
    "draw",
    "replayed",
    "run",
    "steps_of",
    "table",
]


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured; speeds in tokens/s, ``rounds`` times as many questions as are at once."""

    data: Path
    steps: Sequence[int] = CONCURRENCY
    rounds: int = ROUNDS
    prefill: float = PREFILL
    decode: float = DECODE
    one_card: bool = True


@dataclass(frozen=True, slots=True)
class Worked:
    """One run of a step.

    Attributes:
        whole: from its begin to its end.
        questions: from begin to end of each that was answered.
        errors: how many were not, or were answered otherwise than with 200.
        sent: model calls that reached the endpoint.
        ours_cpu: processor seconds of this process.
        engine_cpu: processor seconds of the engine's.
        warming: bodies of the model calls that were made before.
    """

    whole: Span
    questions: Sequence[Span]
    errors: int
    sent: Sequence[Sent]
    ours_cpu: float
    engine_cpu: float
    warming: Sequence[bytes] = ()


def steps_of(text: str) -> list[int]:
    """Return the numbers of a list such as ``1,2,4``. Raises ConfigurationError for what is none."""
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(numbers) != text.count(",") + 1 or not all(1 <= number <= MOST for number in numbers):
        raise ConfigurationError(f"--concurrency {text!r}: give numbers from 1 to {MOST} with commas, such as 1,8,32")
    return numbers


def run(options: Options, settings: Settings, console: Console) -> dict[str, Any]:
    """Measure all steps over documents kept under the settings' data directory.

    Raises:
        ConfigurationError: ``data`` is not the folder.
        BackendError, StoreError: the engine or the index cannot be opened.
    """
    data = records_of(options.data)
    texts = [gold.question for gold in read_gold(data)]
    Random(SEED).shuffle(texts)
    settings = settings.model_copy(update={"data_dir": settings.data_dir / "evaluation" / "tokens"})
    roots = indexed(settings, data, console)
    before = os.getloadavg()[0]
    rows: list[dict[str, Any]] = []
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=2 * len(options.steps))
        for at_once in options.steps:
            number = max(FEWEST, options.rounds * at_once)
            asked = [texts[n % len(texts)] for n in range(number)]
            progress.update(bar, description=f"{at_once} at once")
            with served(options.prefill, options.decode, one_card=options.one_card) as engine:
                ours = asyncio.run(_asked(_over(settings, engine), asked, roots, at_once, engine))
            progress.advance(bar)
            with served(options.prefill, options.decode, one_card=options.one_card) as engine:
                again = asyncio.run(replayed(ours, at_once, engine))
            progress.advance(bar)
            rows.append({"at_once": at_once, **figures_of(at_once, ours, again)})
    return {
        "rows": rows,
        "aim": AIM,
        "prefill_tokens_per_second": options.prefill,
        "decode_tokens_per_second": options.decode,
        "one_card": options.one_card,
        "cores": os.cpu_count(),
        "load_average": [round(before, 2), round(os.getloadavg()[0], 2)],
    }


def _over(settings: Settings, engine: Served) -> Settings:
    """Return the settings whose vLLM server is the engine on its port."""
    vllm = settings.vllm.model_copy(update={"base_url": engine.base_url, "model": engine.model})
    return plain(settings).model_copy(update={"backend": "vllm", "vllm": vllm})


async def _asked(
    settings: Settings, texts: Sequence[str], roots: Sequence[str], at_once: int, engine: Served
) -> Worked:
    """Answer ``texts`` through one session, so many at once; the first question of all only warms up."""
    sent: list[Sent] = []
    spans: list[Span] = []
    failed: list[str] = []
    free = asyncio.Semaphore(at_once)

    async def one(number: int, text: str) -> None:
        async with free:
            ASKER.set(str(number))
            began = time.perf_counter()
            try:
                await session.ask(Ask(text, roots, cache=False))
            except DocMindError as error:
                failed.append(str(error))
            else:
                spans.append(Span(began, time.perf_counter()))

    with swapped([Swap("infra.llm.endpoint", "_network", lambda network: lambda: Recorder(network(), sent))]):
        async with Session(Resources(settings), Console(stderr=True), keep_threads=False) as session:
            await session.ask(Ask("What is said about the weather?", roots, cache=False))
            warming = [one.body for one in sent if one.path == COMPLETIONS]
            sent.clear()
            cpu, engine_cpu, began = time.process_time(), engine.cpu_seconds(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number, text in enumerate(texts):
                    group.create_task(one(number, text))
            whole, ours_cpu = Span(began, time.perf_counter()), time.process_time() - cpu
            engine_cpu = engine.cpu_seconds() - engine_cpu
    calls = [one for one in sent if one.path == COMPLETIONS]
    return Worked(whole, spans, len(failed) + _refused(calls), calls, ours_cpu, engine_cpu, warming)


async def replayed(ours: Worked, at_once: int, engine: Served) -> Worked:
    """Send what ours sent again, question by question in the order they were begun, after what warmed ours up."""
    asked: dict[str, list[Sent]] = {}
    for one in sorted(ours.sent, key=lambda sent: sent.span.start):
        asked.setdefault(one.asker, []).append(one)
    bodies = [[sent.body for sent in calls] for calls in asked.values()]
    async with client(engine.root_url) as bare:
        await replay(bare, COMPLETIONS, [ours.warming], 1)
        cpu, engine_cpu, began = time.process_time(), engine.cpu_seconds(), time.perf_counter()
        sent = await replay(bare, COMPLETIONS, bodies, at_once)
        whole, ours_cpu = Span(began, time.perf_counter()), time.process_time() - cpu
        engine_cpu = engine.cpu_seconds() - engine_cpu
    by_question: dict[str, list[Span]] = {}
    for one in sent:
        by_question.setdefault(one.asker, []).append(one.span)
    spans = [Span(min(s.start for s in calls), max(s.end for s in calls)) for calls in by_question.values()]
    return Worked(whole, spans, _refused(sent), sent, ours_cpu, engine_cpu)


def _refused(sent: Sequence[Sent]) -> int:
    return sum(one.status != 200 for one in sent)  # noqa: PLR2004 - HTTP's


def figures_of(at_once: int, ours: Worked, again: Worked) -> dict[str, Any]:
    """Return what a step came to: ours, the replay, and the one beside the other.

    Questions without a model call are no part of the replay, which is told per second for ours' number of questions.
    """
    mine, theirs = _one(at_once, ours, len(ours.questions)), _one(at_once, again, len(ours.questions))
    reached = mine["questions_per_second"] / theirs["questions_per_second"] if theirs["questions_per_second"] else 0.0
    processor = ours.ours_cpu / max(1, len(ours.questions))
    return {
        "questions": len(ours.questions),
        "calls": len(ours.sent),
        "errors": ours.errors + again.errors,
        "of_replay": round(reached, 4),
        "ceiling_per_second": round(1 / processor, 2) if processor else 0.0,
        "ours": mine,
        "replay": theirs,
    }


def _one(at_once: int, worked: Worked, questions: int) -> dict[str, Any]:
    seconds = worked.whole.end - worked.whole.start
    lasted = levels(one.span for one in worked.sent)
    whole = sum(lasted.values())
    return {
        "seconds": round(seconds, 3),
        "questions_per_second": round(questions / seconds, 4) if seconds else 0.0,
        "latency_s": quantiles([span.end - span.start for span in worked.questions]),
        "busy": round(sum(n * s for n, s in lasted.items()) / (seconds * at_once), 4) if seconds else 0.0,
        "all_at_once": round(sum(s for n, s in lasted.items() if n >= at_once) / whole, 4) if whole else 0.0,
        "cores": round(worked.ours_cpu / seconds, 2) if seconds else 0.0,
        "engine_cores": round(worked.engine_cpu / seconds, 2) if seconds else 0.0,
    }


def table(figures: dict[str, Any], console: Console) -> None:
    """Print the steps."""
    heads = ("questions", "calls", "errors", "per second", "replay", "of replay", "ceiling", "busy", "replay", "all")
    rest = ("p50 s", "p95 s", "replay p50", "cores", "engine's")
    speeds = f"{figures['prefill_tokens_per_second']:g} prefill and {figures['decode_tokens_per_second']:g} decode"
    where = "on one card" if figures["one_card"] else "with room for all"
    title = f"Many questions at once {where}, {speeds} tokens/s"
    shown = Table("at once", *heads, *rest, title=title, title_justify="left")
    for row in figures["rows"]:
        mine, theirs = row["ours"], row["replay"]
        shown.add_row(
            *(str(row[key]) for key in ("at_once", "questions", "calls", "errors")),
            *(f"{side['questions_per_second']:.2f}" for side in (mine, theirs)),
            f"{row['of_replay']:.1%}",
            f"{row['ceiling_per_second']:.1f}",
            *(f"{share:.0%}" for share in (mine["busy"], theirs["busy"], mine["all_at_once"])),
            *(f"{mine['latency_s'][of]:.2f}" for of in ("p50", "p95")),
            f"{theirs['latency_s']['p50']:.2f}",
            *(f"{mine[key]:.2f}" for key in ("cores", "engine_cores")),
        )
    console.print(shown)
    aim = figures["aim"]
    console.print(f"Aim: at {aim['at_once']} at once at least {aim['of_replay']:.0%} of the replay's throughput.")


def draw(figures: dict[str, Any], folder: Path) -> Path:
    """Draw the throughput of ours and of the replay into ``folder``; return the file."""
    names = [str(row["at_once"]) for row in figures["rows"]]
    systems = {
        label: {str(row["at_once"]): row[key]["questions_per_second"] for row in figures["rows"]}
        for key, label in (("ours", "ours"), ("replay", "requests sent again"))
    }
    return plots.bars(folder / "load.png", "Questions a second, by questions at once", systems, names)
