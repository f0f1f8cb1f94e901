"""Logging, and the record of every model call.

Gives `set_up_logging` (Loguru to stderr, plain lines or one JSON object a line) and `CallLog` (told of every ledger
entry: one line, and one row of ``performance_logs``). Questions, prompts, document text and replies are logged at no
level. Words that we did not write (a server's error, a vendor's warning) may quote them, so they are shown at
``DOCMIND_LOG_LEVEL=DEBUG`` only; at other levels a line says who complained, of what kind, and where. Vendors' own INFO
and DEBUG records, which hold whole requests, are never shown.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

from loguru import logger

from infra.llm.ledger import Call
from infra.performance import MAX_NAME_CHARS, OPERATION, Gpus, measured, with_gpus
from infra.settings import Settings
from infra.store.performance import PerformanceLog, Summary

if TYPE_CHECKING:
    from loguru import Record

PERFORMANCE_FILE = "performance.sqlite3"
MAX_WORDS_CHARS = 2_000
_SETTING = re.compile(r"DOCMIND_[A-Z_]{1,60}")
_MAX_NAMED = 3

Value = str | float | bool | None


def set_up_logging(settings: Settings) -> None:
    """Send records of the settings' level and above to stderr, and vendors' warnings with them.

    Takes the place of every handler that Loguru and the standard library's root logger had: for doors only.
    """
    words = _words_shown(settings)
    write = _json_line if settings.log_json else _plain_line
    logger.remove()
    logger.add(lambda message: _print(write(message.record, words=words)), level=settings.log_level, diagnose=False)
    root = logging.getLogger()
    root.handlers[:] = [_VendorHandler(words=words)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)  # Python's warnings quote values: they go the vendors' way


class CallLog:
    """Told of every model call: one line in the log, one row in the tenant's ``performance.sqlite3``.

    Args:
        settings: where the rows go, and whether the words of errors are logged.
        gpus: reads what the GPUs of this machine hold; None where there is none.
    """

    def __init__(self, settings: Settings, gpus: Callable[[], Gpus | None] = lambda: None) -> None:
        self._words = _words_shown(settings)
        fill = partial(with_gpus, read=gpus)
        self._rows = PerformanceLog(settings.tenant_dir / PERFORMANCE_FILE, fill=fill)

    def __call__(self, call: Call) -> None:
        """Log one call; never waits and never fails."""
        level = "INFO" if call.outcome == "ok" else "WARNING"
        logger.bind(**fields_of(call, words=self._words)).log(level, f"model call {call.outcome}")
        self._rows.add(measured(call))

    def summary(self) -> list[Summary]:
        """Return what the calls kept come to, a back end each.

        Raises:
            StoreError: the file cannot be read.
        """
        return self._rows.summary(OPERATION)

    def close(self) -> None:
        """Write what is waiting, in bounded time; closing twice does nothing more."""
        self._rows.close()


def fields_of(call: Call, *, words: bool) -> dict[str, Value]:
    """Return what a line says of a call: names, counts and times, and of a failure its kind.

    Args:
        call: its ledger entry.
        words: whether the error's words are wanted, which may quote a prompt.
    """
    fields: dict[str, Value] = {
        "agent": call.scope.agent[:MAX_NAME_CHARS],
        "backend": call.backend,
        "model": call.model[:MAX_NAME_CHARS],
        "question": call.scope.question_id[:MAX_NAME_CHARS],
        "prompt_tokens": call.prompt_tokens,
        "cached_tokens": call.cached_tokens,
        "completion_tokens": call.completion_tokens,
        "counted_tokens": call.counted_tokens,
        "exact": call.exact,
        "tries": call.tries,
        "seconds": round(call.seconds, 3),
        "first_token_seconds": None if call.first_token_seconds is None else round(call.first_token_seconds, 3),
        "dropped": len(call.dropped),
        "cut_tokens": call.cut_tokens,
        "outcome": call.outcome,
        "cached": call.cached,
    }
    failed = call.failures
    if failed:
        counts = len(call.count_failures)
        fields |= {"failure": failed[-1].failure, "status": failed[-1].status, "count_failures": counts}
    if call.error:
        fields["see"] = ", ".join(dict.fromkeys(_SETTING.findall(call.error)[:_MAX_NAMED])) or None
    if words:
        said = call.error or (failed[-1].error if failed else "")
        fields |= {"error": said[:MAX_WORDS_CHARS]} if said else {}
    return fields


class _VendorHandler(logging.Handler):
    """Vendors' warnings as lines of our log; their words only where they are wanted."""

    def __init__(self, *, words: bool) -> None:
        super().__init__(logging.WARNING)
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        fields: dict[str, Value] = {"logger": record.name, "place": f"{record.module}:{record.lineno}"}
        fields |= {"exception": kind} if kind else {}
        if self._words:
            fields["error"] = _words_of(record)[:MAX_WORDS_CHARS]
        level = "WARNING" if record.levelno < logging.ERROR else "ERROR"
        logger.bind(**fields).log(level, "a library complains")


def _words_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit their template are the vendor's mistake
        return str(record.msg)


def _words_shown(settings: Settings) -> bool:
    return settings.log_level == "DEBUG"


def _json_line(record: "Record", *, words: bool) -> str:
    """Return a record as one flat JSON object, without line breaks whatever is in it."""
    at = record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fixed: dict[str, Any] = {"time": at, "level": record["level"].name, "message": record["message"]}
    return json.dumps(fixed | _fields(record, words=words) | fixed, default=str)


def _plain_line(record: "Record", *, words: bool) -> str:
    """Return a record as one line for a person; what could steer a terminal becomes a space."""
    known = {name: value for name, value in _fields(record, words=words).items() if value is not None}
    pairs = "".join(f" {name}={value}" for name, value in known.items())
    line = f"{record['time']:HH:mm:ss} {record['level'].name} {record['message']}{pairs}"
    return "".join(character if character.isprintable() else " " for character in line)


def _fields(record: "Record", *, words: bool) -> dict[str, Any]:
    error = record["exception"]
    if error is None or error.type is None:
        return record["extra"]
    said = {"error": str(error.value)[:MAX_WORDS_CHARS]} if words else {}
    return record["extra"] | {"exception": error.type.__name__} | said


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")
