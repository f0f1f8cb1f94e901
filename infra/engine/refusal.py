"""How the engine refuses a request: vLLM 0.32's status codes and error bodies, recorded from a running server.

``RefusedError`` carries the HTTP reply and never leaves the engine otherwise; the functions word the refusals that
several places share.
"""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

SHOWN_ERRORS = 10
SHOWN_CHARS = 200

_UNION_BRANCH = re.compile(r"[\[\]{}()]|^(str|list|dict|int|union)$")


class RefusedError(Exception):
    """A request the engine does not work on.

    Attributes:
        status: HTTP status code.
        body: the JSON body of the reply.
    """

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        """Put ``message`` into vLLM's error object."""
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": param, "code": status}}


class RoutingError(RefusedError):
    """A request that reaches no handler or whose body cannot be read: the web framework's own short body."""

    def __init__(self, detail: str, *, status: int, allow: str | None = None) -> None:
        """Keep the framework's ``detail``; ``allow`` is the method that would have been right."""
        super().__init__(detail, status=status)
        self.body = {"detail": detail}
        self.allow = allow


def refused_value(message: str, param: str, value: float | None = None) -> RefusedError:
    """Return the refusal of one parameter, worded as vLLM does: the message, then the parameter and its value."""
    shown = f"(parameter={param})" if value is None else f"(parameter={param}, value={value})"
    return RefusedError(f"{message} {shown}", param=param)


def refused_body(errors: Sequence[Any]) -> RefusedError:
    """Return the refusal of a body that does not have the request's shape.

    Args:
        errors: pydantic's error dictionaries, or dictionaries made alike; at most ``SHOWN_ERRORS`` are shown.
    """
    label = "error" if len(errors) == 1 else "errors"
    lines = [f"{len(errors)} validation {label}:", *(f"  {_shown_error(item)}" for item in errors[:SHOWN_ERRORS])]
    if len(errors) > SHOWN_ERRORS:
        lines.append(f"  ...and {len(errors) - SHOWN_ERRORS} more {label}")
    return RefusedError("\n".join(lines), kind="Bad Request", param=_path(errors[0]["loc"]))


def refused_shape(error: ValidationError) -> RefusedError:
    """Return the refusal of a body that pydantic could not validate."""
    items = error.errors(include_url=False, include_context=False)
    return refused_body([{**item, "loc": ("body", *item["loc"])} for item in items])


def _shown_error(item: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's ErrorDetails or alike
    return {**item, "loc": _path(item["loc"]), "input": _shown_input(item["input"])}


def _path(loc: Sequence[Any]) -> str:
    return ".".join(str(part) for part in loc if not _UNION_BRANCH.search(str(part)))


def _shown_input(value: Any) -> str:  # noqa: ANN401 - what JSON held
    if isinstance(value, (list, dict)):
        return f"<{type(value).__name__} of {len(value)} items>"  # pyright: ignore[reportUnknownArgumentType] - only counted
    text = str(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...[truncated]"
