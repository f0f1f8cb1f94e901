"""What the five prompts share: the system text and the shape of question and evidence.

The order is fixed (rules, evidence, question, then the agent's task), so prompts that are built from the same evidence
begin with the same tokens and a server with prefix caching reads them once. Also the forms of what models write that
every agent reads with the same patience.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from infra.text.blocks import block
from tools.evidence import Evidence, source_block

SYSTEM = (Path(__file__).parent / "prompts" / "system.md").read_text(encoding="utf-8").strip()

MAX_ADDED_CHARS = 1_000
"""How much longer than the question a model's own wording of it, or of a part, may be: names and dates are repeated."""


def _compact(schema: dict[str, Any]) -> None:
    """Take the words for people out of a JSON schema: the prompt names each key, and most servers show no schema."""
    schema.pop("description", None)
    for described in schema.get("properties", {}).values():
        for told in ("title", "description", "default"):
            described.pop(told, None)


class Written(BaseModel):
    """What a model writes: a number may stand for a text, and null for what is left out."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True, json_schema_extra=_compact)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in cast("dict[str, object]", value).items() if item is not None}


def listed(value: object) -> object:
    """Return one text or number as a list of it."""
    return [value] if isinstance(value, str | int) else value


Texts = Annotated[list[str], BeforeValidator(listed)]
"""Texts that a model writes as a list, or one of them without the list."""


def question_block(question: str) -> str:
    """Return the block that carries the question."""
    return block("question", question)


def source_blocks(evidence: Sequence[Evidence]) -> list[str]:
    """Return one block a passage, in the order of the labels."""
    return [source_block(e.passage, e.label) for e in evidence]
