"""What is noted beside the work on a question: notes that were made, and what the user saw before the answer."""

from pydantic import BaseModel, ConfigDict, Field

from tools.compress import Method

COMPRESSION = "compression"
"""Who is on the trail where a note was made."""


class Compression(BaseModel):
    """What compression made of one stage's result, in tokens.

    Tokens are the run's model's where it had been asked before, else the embedded engine's.
    ``stage``: the agent, or ``history``. ``method`` as ``tools.compress.Method``, of several texts the costliest;
    ``needed`` facts of the originals that the question needs, ``retained`` those of them that stand in the notes.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    tokens_before: int
    tokens_after: int
    method: Method = "whole"
    needed: int = 0
    retained: int = 0
    seconds: float = 0.0
    llm_calls: int = 0


class Earlier(BaseModel):
    """The rolling note: what was said before the turns that are still read, and the last message that it covers."""

    model_config = ConfigDict(frozen=True)

    note: str = ""
    through: str = ""


class Shown(BaseModel):
    """What the user saw of the answer before it was delivered.

    ``sentences`` are the beginning of its text, in pieces; ``seconds`` is when the first of them was shown, since the
    question was asked; None: none was.
    """

    model_config = ConfigDict(frozen=True)

    sentences: list[str] = Field(default_factory=list[str])
    seconds: float | None = None
