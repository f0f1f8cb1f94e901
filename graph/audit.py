"""The audit of the answer cache: the questions served last are answered anew, and both answers are compared.

Gives ``run``. A question is asked in the words in which it was served, as a user asks it, with an audit of each hit and
without kept model replies and searches: what the cache would serve is answered anew, compared and noted
(``graph.recall``), and what is wrong goes. What the cache would not serve now (other settings, changed documents) is
answered anew, too, and compared with nothing.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress

from graph.session import Ask, Session, prepare
from infra.cache.records import Kept
from infra.cache.upkeep import upkeep
from infra.errors import ConfigurationError
from infra.resources import Resources
from infra.settings import Settings
from infra.text.plain import one_line, short_line


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A kept answer that was wrong: what was asked and what it was kept for, its text, and that of the new one."""

    question: str
    kept_for: str
    kept: str
    fresh: str


@dataclass(slots=True)
class Audit:
    """What was done so far.

    Attributes:
        asking: the question at work.
        fresh: texts of new answers, by question.
        reasons: what the cache said to a question.
        heard: what was compared for which question, and whether both were the same.
    """

    asking: str = ""
    fresh: dict[str, str] = field(default_factory=dict[str, str])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    heard: list[tuple[str, Kept, bool]] = field(default_factory=list[tuple[str, Kept, bool]])

    def hear(self, kept: Kept, same: bool) -> None:
        """Note what was compared."""
        self.heard.append((self.asking, kept, same))

    @property
    def unserved(self) -> dict[str, str]:
        """Why the cache would not serve an answer now, by question."""
        compared = {question for question, *_ in self.heard}
        return {question: reason for question, reason in self.reasons.items() if question not in compared}

    @property
    def disagreements(self) -> list[Disagreement]:
        """The kept answers that were wrong, in the order they were found."""
        return [
            Disagreement(question, kept.question, _text(json.loads(kept.answer)), self.fresh.get(question, ""))
            for question, kept, same in self.heard
            if not same
        ]

    def as_object(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        wrong = self.disagreements
        told = {"audited": len(self.heard), "wrong": len(wrong), "not_served": len(self.unserved)}
        return {**told, "disagreements": [asdict(one) for one in wrong]}

    def as_text(self) -> str:
        """As a person reads it."""
        told = [
            f"{one_line(wrong.question)}\n    kept: {short_line(wrong.kept)} (for: {one_line(wrong.kept_for)})\n"
            f"    new:  {short_line(wrong.fresh)}"
            for wrong in self.disagreements
        ]
        told.append(f"{len(self.heard):,} answers compared with new ones, {len(told):,} wrong and removed.")
        told += [f"Not served now: {one_line(one)} ({short_line(why)})" for one, why in self.unserved.items()]
        return "\n".join(told)


def run(settings: Settings, limit: int, *, as_json: bool) -> int:
    """Audit up to ``limit`` answers and print what was found, also when it is broken off; returns the exit code.

    Raises:
        ConfigurationError: the cache is switched off, or there are no documents.
        BackendError: no configured model server answers.
        StoreError: the index cannot be read or written.
    """
    if not (settings.cache.enabled and settings.cache.answers):
        raise ConfigurationError(
            "The answer cache is switched off, so nothing is served: DOCMIND_CACHE__ENABLED and DOCMIND_CACHE__ANSWERS."
        )
    with upkeep(settings) as held:
        served = held.served(limit)
    done = Audit()
    try:
        if served:
            _ask_all(settings, served, done)
    finally:
        typer.echo(json.dumps(done.as_object(), ensure_ascii=False) if as_json else done.as_text())
    return 1 if done.disagreements else 0


def _ask_all(settings: Settings, served: Sequence[tuple[str, Kept]], done: Audit) -> None:
    every_hit = settings.cache.model_copy(update={"audit_share": 1.0})
    console = Console(stderr=True)
    with closing(Resources(settings.model_copy(update={"cache": every_hit}))) as resources:
        if resources.calls is not None:
            resources.calls.close()  # a kept reply would only say again what it said
        prepare(resources, None, console)
        answers = resources.answers()
        assert answers is not None, "the settings were looked at"
        answers.listen(done.hear)
        asks = dict.fromkeys(Ask(question, kept.searches[0].roots) for question, kept in served)
        asyncio.run(_ask(resources, list(asks), done, console))


async def _ask(resources: Resources, asks: Sequence[Ask], done: Audit, console: Console) -> None:
    async with Session(resources, console, keep_threads=False) as session:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            for ask in progress.track(asks, description="Auditing"):
                done.asking = ask.text
                answer = await session.ask(ask)
                done.fresh[ask.text] = _text(answer)
                done.reasons[ask.text] = answer["cache"]["reason"]
                await session.stored()  # compared, and heard of


def _text(answer: dict[str, Any]) -> str:
    return str(answer["answer"])
