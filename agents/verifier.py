"""The verifier: do two questions ask the same? One short call, on behalf of the answer cache; none of the five agents.

It is asked only about questions that the cache's gates found near, and only its plain yes counts.
"""

from pathlib import Path

from pydantic import ConfigDict, Field

from agents.common import Written, question_block
from infra.llm.ask import Asker
from infra.llm.prompt import load, render

PROMPT = load(Path(__file__).parent / "prompts" / "verifier.md")
SYSTEM = "You compare two questions. You answer neither."
MAX_TOKENS = 512
"""Of its reply, with what a thinking model thinks."""


class Same(Written):
    """Whether an answer to one question answers the other as well."""

    model_config = ConfigDict(title="same")

    same: bool = Field(description="true only if every answer to one question is an answer to the other")


async def same_question(asked: str, kept: str, asker: Asker) -> bool:
    """Tell whether ``asked`` asks the same as ``kept``.

    Raises:
        UnreadableReply: the model's reply says neither yes nor no.
        BackendError: a budget or the server refuses the call.
    """
    messages = render(PROMPT, system=SYSTEM, blocks=[question_block(kept), question_block(asked)])
    return (await asker.ask(messages, Same, task="same", max_tokens=MAX_TOKENS)).value.same
