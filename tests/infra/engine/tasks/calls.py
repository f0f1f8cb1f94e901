"""How the tests of the tasks write a call: blocks in one user message, as an agent would send them."""

from typing import Any

from infra.engine.tasks import TASKS, TaskInput
from infra.text.blocks import block


def call(*blocks: str, max_tokens: int = 1_000) -> TaskInput:
    return TaskInput([("system", "You read documents."), ("user", "\n".join(blocks))], max_tokens, {})


def do(name: str, *blocks: str, max_tokens: int = 1_000) -> dict[str, Any]:
    return TASKS[name](call(*blocks, max_tokens=max_tokens))


def list_of(words: str) -> list[str]:
    return words.split()


def question(text: str) -> str:
    return block("question", text)


def source(mark: str, text: str, *, doc: str = "", context: str = "") -> str:
    return block("source", text, id=mark, doc=doc or f"{mark}.txt", context=context)


def history(*turns: str) -> str:
    """The user's words and the assistant's, in turn."""
    speakers = ("user", "assistant")
    return block("history", "\n".join(f"{speakers[n % 2]}: {text}" for n, text in enumerate(turns)))
