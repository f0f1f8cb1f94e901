"""Sentences that reach the user while later ones are still written and checked.

Gives `Early`: it is told which sentences the verdict will surely hold (`agents.validator.settled`), time and again as
a draft grows, and tells the run's custom stream each of them once, as an event of plain JSON:

    {"event": "sentence", "question_id", "position" (from 1), "text", "citations": [...]}
    {"event": "withdrawn", "question_id", "reason"}    all sentences before it are void; positions begin again

The texts of the sentences, one after another, are the beginning of the answer's text: each but the first begins with
a new line, or with a space where it stands on the line of the one before.

A draft whose reply broke, could not be read or was written by somebody else in the end (another server, rules) may
begin otherwise than what was shown. While it is written anew what was shown stays, and stays for good where the new one
begins the same; else it is withdrawn before the new one's first sentence. Whatever else becomes of a question, its
answer is compared once more when it is delivered (`graph.answer.holds`).
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import asdict
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer

from agents.validator import Accepted
from graph.answer import sentences_of
from graph.noted import Shown
from graph.state import State, View

REWRITTEN = "the model's reply was written again, and says otherwise"
CHANGED = "the answer came out otherwise"

Tell = Callable[[dict[str, Any]], None]

_TELL: ContextVar[Tell] = ContextVar("tell")


def told(node: Runnable[Any, Any]) -> Callable[..., Awaitable[Any]]:
    """Return ``node`` as one from inside of which `teller` reaches the custom stream of the graph it is added to.

    An agent is a graph of its own, and LangGraph's ``get_stream_writer`` says nothing there, unless the caller asks for
    the streams of subgraphs.
    """

    async def run(state: State, config: RunnableConfig) -> Any:  # noqa: ANN401 - what the node returns
        _TELL.set(get_stream_writer())
        return await node.ainvoke(state, config)

    return run


def teller() -> Tell:
    """Return what writes to the run's custom stream."""
    return _TELL.get(get_stream_writer())


class Early:
    """What of one question was shown early; it lives as long as one agent's work, ``shown`` travels in the state.

    Args:
        view: the question.
        tell: takes each event, at once.
    """

    def __init__(self, view: View, tell: Tell) -> None:
        self._question, self._tell = view.question, tell
        self._texts = list(view.shown.sentences)
        self._seconds = view.shown.seconds

    @property
    def shown(self) -> Shown:
        """What the user has seen and was not told to forget."""
        return Shown(sentences=self._texts, seconds=self._seconds)

    def now(self, sentences: Sequence[Accepted], *, whole: bool = False) -> None:
        """Show what is new of the sentences that are sure by now; ``whole``: the draft is, no more will come."""
        texts = sentences_of(sentences)
        known = len(self._texts)
        if texts[:known] != self._texts:
            if not whole and self._texts[: len(texts)] == texts:
                return  # the draft is written again, so far the same
            self._tell(withdrawn(self._question.id, REWRITTEN))
            self._texts, self._seconds, known = [], None, 0
        for position, text in enumerate(texts[known:], start=known + 1):
            if self._seconds is None:
                self._seconds = round(time.time() - self._question.asked_at, 4)
            self._texts.append(text)
            citations = [asdict(citation) for citation in sentences[position - 1].citations]
            place = {"question_id": self._question.id, "position": position}
            self._tell({"event": "sentence", **place, "text": text, "citations": citations})


def withdrawn(question_id: str, reason: str) -> dict[str, Any]:
    """Return the event that takes back all that was shown of a question."""
    return {"event": "withdrawn", "question_id": question_id, "reason": reason}
