"""Known failures of a vLLM server: one line of cause and one of cure, from the lines of its log.

Gives `FailureWatch`, fed with lines as they come (it keeps what was recognised and the last error, not the log), and
`known`, the list behind it. The list is data, ``data/failures.json``, the most specific first: the first entry that any
line matched is what is said, so the out-of-memory above wins over the "engine core failed" that follows it. Every entry
names the public thread, or our own run, whose log the tests hold. Lines are a stranger's: cut, and shown through
`infra.text.plain`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from infra.text.plain import one_line, short_line
from infra.vllm.startup import MAX_LINE_CHARS, Phase

_VALUE_CHARS = 120
# what vLLM writes before its words: (EngineCore pid=7) (Worker_TP0 pid=8) ERROR 05-10 16:00:15 [core.py:470]
_PREFIX = re.compile(
    r"^(?:\([\w .=:-]{1,80}\) ?){0,3}(?:[A-Z]{4,8} \d\d-\d\d \d\d:\d\d:\d\d )?(?:\[[\w./-]{1,80}:\d{1,6}\] ?)?"
)
_COLOUR = re.compile(r"\x1b\[[\d;]{0,20}m")  # where FORCE_COLOR or the like is set
_ERROR = re.compile(r"^(?:[\w.]{1,80}(?:Error|Exception|Exit)\b|Value error, |.{0,60}\berror: )")
_FATAL = re.compile(r"Segmentation fault|Bus error|core dumped|^Killed\b")


class Known(BaseModel):
    """A failure that we can name.

    Attributes:
        name: short, for JSON and tests.
        pattern: searched in each line; its named groups may stand in ``cause`` and ``cure`` as ``{name}``.
        phases: phases of the start-up in which it is meant; empty for all.
        general: whether it only says that something failed, so that the last error is shown with it.
        cause: what went wrong.
        cure: which flag, setting or command helps.
        source: address of the public thread that quotes such a log, or ``own run``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]+$")
    pattern: re.Pattern[str]
    phases: tuple[Phase, ...] = ()
    general: bool = False
    cause: str
    cure: str
    source: str

    @field_validator("cause", "cure")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        if text != one_line(text):
            raise ValueError("one line")
        return text


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What went wrong, fit to be shown.

    Attributes:
        name: of the known failure; ``unknown`` otherwise.
        cause: what happened.
        cure: what helps.
        source: where such a log can be read; empty for an unknown one.
        line: the line that showed it, without vLLM's prefix; empty where nothing did.
    """

    name: str
    cause: str
    cure: str
    source: str
    line: str


@cache
def known() -> tuple[Known, ...]:
    """Return the known failures, the most specific first."""
    text = resources.files("infra.vllm").joinpath("data", "failures.json").read_text("utf-8")
    return TypeAdapter(tuple[Known, ...]).validate_json(text)


class FailureWatch:
    """Recognises failures in a log, line by line."""

    def __init__(self) -> None:
        self._best: tuple[int, Known, Mapping[str, str], str] | None = None
        self._last_error = ""

    def feed(self, line: str, phase: Phase) -> bool:
        """Take one line.

        Args:
            line: of the log.
            phase: where the start-up was.

        Returns:
            Whether it says that the engine is gone, whatever the reason.
        """
        words = said(line)
        if not words:
            return False
        gone = any(entry.general and entry.pattern.search(words) for entry in known())
        if not gone and (_ERROR.search(words) or _FATAL.search(words)):
            self._last_error = words
        place = len(known()) if self._best is None else self._best[0]
        for index, entry in enumerate(known()[:place]):
            if entry.phases and phase not in entry.phases:
                continue
            if match := entry.pattern.search(words):
                self._best = (index, entry, _shown(match.groupdict()), words)
                break
        return gone

    def diagnosis(self, log: str) -> Diagnosis:
        """Return what the lines showed.

        Args:
            log: where the whole log is, for a failure that nobody knows.
        """
        last = short_line(self._last_error)
        if self._best is None:
            cause = f"vLLM ended: {last}" if last else "vLLM ended and said no reason"
            return Diagnosis("unknown", cause, f"read the log: {log}", "", last)
        _, entry, values, line = self._best
        cause = entry.cause.format_map(_Values(values))
        if entry.general and last:
            cause = f"{cause}: {last}"
        cure = entry.cure.format_map(_Values({**values, "log": log}))
        return Diagnosis(entry.name, cause, cure, entry.source, short_line(line))


def said(line: str) -> str:
    """Return the words of a log line, without vLLM's process, level, time and place."""
    return _PREFIX.sub("", _COLOUR.sub("", line[:MAX_LINE_CHARS]).strip(), count=1).strip()


class _Values(dict[str, str]):
    """Values for a template; one that the line did not bring stands as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


def _shown(groups: Mapping[str, Any]) -> dict[str, str]:
    return {name: short_line(str(value), _VALUE_CHARS) for name, value in groups.items() if value is not None}
