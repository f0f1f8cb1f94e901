"""Prompts: texts kept in ``prompts/*.md``, rendered to messages of one shape, known by a version.

A prompt file is Markdown. A line that holds only ``---`` separates its system part (above) from its task part (below);
a file without that line is all task. ``${name}`` in either part is replaced by a string the code gives (``$$`` is a
dollar sign); documents' and people's words never come in that way, only as blocks of `infra.text.blocks`.

`render` always gives a system message (where there is a system text) and one user message: source blocks, then the
other blocks, then the task. Prompts over the same evidence and question so begin with the same tokens, and a server
with prefix caching reads them once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template as Placeholders

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from infra.errors import ConfigurationError

SEPARATOR = "---"
_VERSION_CHARS = 12


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt file.

    Attributes:
        name: the file's name without its ending.
        system: its system part; empty where it has none.
        task: its task part.
        version: the first 12 hex digits of the SHA-256 of the file's text.
    """

    name: str
    system: str
    task: str
    version: str


def load(path: Path) -> Template:
    """Read one prompt file (UTF-8).

    Raises:
        ConfigurationError: it cannot be read, or holds nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the prompt {path} cannot be read: {error}") from error
    if not text.strip():
        raise ConfigurationError(f"the prompt {path} is empty")
    return parse(path.stem, text)


def parse(name: str, text: str) -> Template:
    """Return the template of a prompt file's text."""
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines) if line.strip() == SEPARATOR), -1)
    system, task = "\n".join(lines[: max(at, 0)]), "\n".join(lines[at + 1 :])
    version = hashlib.sha256(text.encode()).hexdigest()[:_VERSION_CHARS]
    return Template(name, system.strip(), task.strip(), version)


def render(
    template: Template,
    *,
    system: str = "",
    sources: Sequence[str] = (),
    blocks: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
) -> list[BaseMessage]:
    """Render a prompt.

    Args:
        template: the prompt; its own system part, if it has one, follows the common one.
        system: system text that all prompts share.
        sources: ``<source>`` blocks, best rank first: the last ones are left out first when the window is too small.
        blocks: the other blocks, in the order in which they are read.
        values: what ``${name}`` stands for.

    Returns:
        The system message, if there is any system text, and one user message.

    Raises:
        ValueError: a placeholder has no value, or a value no placeholder.
    """
    given = dict(values or {})
    parts = [_filled(template, part, given) for part in (template.system, template.task)]
    unused = [key for key in given if not any(f"${{{key}}}" in part for part in (template.system, template.task))]
    if unused:
        raise ValueError(f"prompt {template.name!r} has no place for {', '.join(unused)}")
    system_text = _joined([system, parts[0]])
    user = HumanMessage(_joined([*sources, *blocks, parts[1]]))
    return [SystemMessage(system_text), user] if system_text else [user]


def _filled(template: Template, part: str, values: Mapping[str, str]) -> str:
    try:
        return Placeholders(part).substitute(values)
    except (KeyError, ValueError) as error:
        raise ValueError(f"prompt {template.name!r} cannot be filled: {error}") from error


def _joined(parts: Sequence[str]) -> str:
    """Join what is not empty; a lone surrogate, which no JSON body can carry, becomes a question mark."""
    return "\n\n".join(part for part in parts if part).encode("utf-8", "replace").decode("utf-8")
