"""The writer of notes: a long text in a few sentences, on behalf of state compression; none of the five agents.

It is asked only where choosing sentences is not enough; what it writes is checked, and mended, by ``tools.compress``.
"""

from pathlib import Path

from pydantic import ConfigDict

from agents.common import SYSTEM, Written, question_block
from infra.llm.ask import Asker
from infra.llm.prompt import load, render
from infra.text.blocks import block

PROMPT = load(Path(__file__).parent / "prompts" / "note.md")
MAX_TOKENS = 512
"""Of its reply: a note of 250 tokens, JSON around it, and what it takes more than it should."""


class Noted(Written):
    """What the model writes."""

    model_config = ConfigDict(title="note")

    note: str


async def write_note(text: str, question: str, asker: Asker) -> str:
    """Return a note of ``text`` that serves ``question``; rules write none, choosing has done their part.

    Raises:
        UnreadableReply: the model's reply cannot be read.
        BudgetExceeded: the call does not fit its window or a budget.
        BackendError: the server refuses the call, or failed.
    """
    messages = render(PROMPT, system=SYSTEM, blocks=[block("text", text), question_block(question)])
    return (await asker.without_rules().ask(messages, Noted, task="note", max_tokens=MAX_TOKENS)).value.note
