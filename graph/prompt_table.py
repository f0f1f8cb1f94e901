"""How long each prompt is: ``python -m graph.prompt_table`` prints the table of ``docs/prompts.md``, a test compares.

Counted by the embedded engine's tokenizer, so that the figures are the same on every machine. Counted is what is the
same in every call: the whole system text, the task, and the JSON schema of the reply as it goes out (for the supervisor
its five hand-off tools). Question, evidence and conversation come on top.
"""

import json
from dataclasses import dataclass
from typing import Any

import typer
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from agents import notes, planner, router, synthesizer, validator, verifier
from agents.common import SYSTEM
from graph.build import PROMPT
from graph.supervisor import supervisor_tools
from infra.engine.tokenizer import encode
from infra.llm.ask import response_format
from infra.llm.prompt import Template


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt: its file's name, who is asked with it, and the tokens of its parts."""

    prompt: str
    reply: str
    system: int
    task: int
    schema: int


def rows() -> list[Row]:
    """Return a row for each prompt and form of reply."""
    asked: list[tuple[Template, str, type[BaseModel], str]] = [
        (router.PROMPT, "route", router.Choice, ""),
        (router.PROMPT, "route", router.Completed, ", in a conversation"),
        (planner.PROMPT, "plan", planner.Plan, ""),
        (synthesizer.PROMPT, "draft", synthesizer.Draft, ""),
    ]
    agents = [_row(template, SYSTEM, schema, task, note) for template, task, schema, note in asked]
    others = [
        _row(validator.PROMPT, synthesizer.RULES, validator.Judgements, "judge", ""),
        _row(notes.PROMPT, SYSTEM, notes.Noted, "note", ""),
        _row(verifier.PROMPT, verifier.SYSTEM, verifier.Same, "same", ""),
    ]
    return [*agents, *others, _supervisor()]


def table() -> str:
    """Return the rows as a Markdown table."""
    head = ["| prompt | reply | system | task | schema |", "| --- | --- | ---: | ---: | ---: |"]
    return "\n".join([*head, *(f"| `{r.prompt}` | {r.reply} | {r.system} | {r.task} | {r.schema} |" for r in rows())])


def _row(template: Template, common: str, schema: type[BaseModel], task: str, note: str) -> Row:
    system = "\n\n".join(part for part in (common, template.system) if part)
    described = response_format(schema, task)["json_schema"]["schema"]
    return Row(template.name, f"`{task}`{note}", _tokens(system), _tokens(template.task), _tokens(_json(described)))


def _supervisor() -> Row:
    described = [convert_to_openai_tool(tool, strict=True) for tool in supervisor_tools()[:-1]]
    system = PROMPT.read_text(encoding="utf-8").strip()
    return Row(PROMPT.stem, "tools, in `llm` mode", _tokens(system), 0, _tokens(_json(described)))


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, separators=(",", ":"))


def _tokens(text: str) -> int:
    return len(encode(text))


if __name__ == "__main__":
    typer.echo(table())
