"""What the five prompts share: the system text and the shape of question and evidence.

The order is fixed (system, evidence, question, then the agent's task), so prompts that are built from the same evidence
begin with the same tokens and a server with prefix caching reads them once.
"""

from collections.abc import Sequence
from pathlib import Path

from infra.text.blocks import block
from tools.evidence import Evidence

SYSTEM = (Path(__file__).parent / "prompts" / "system.md").read_text(encoding="utf-8").strip()


def question_block(question: str) -> str:
    """Return the block that carries the question."""
    return block("question", question)


def source_blocks(evidence: Sequence[Evidence]) -> list[str]:
    """Return one block a passage, in the order of the labels."""
    return [block("source", e.passage.text, id=e.label, doc=e.passage.doc, context=e.passage.header) for e in evidence]
