"""The vendors' exceptions, read once: what each says of the server.

Gives `diagnose` (exception → `Failure`), `failure_of` (the facts behind one of our own errors) and `translated`, inside
which every vendor exception becomes a `BackendError`. What follows from a failure is decided elsewhere.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import httpx2
import openai

from infra.errors import BackendError
from infra.llm.bounds import NotAReply, OutOfTime
from infra.llm.endpoint import Backend
from infra.llm.failures import Failure, explain

_FIRST_SERVER_ERROR = 500
_MAX_CAUSES = 8
# What the SDK and LangChain raise on a body that is no chat completion; a request that cannot be built fails before.
_UNREADABLE = (openai.OpenAIError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_NOT_THERE = (httpx2.ConnectError, httpx2.ConnectTimeout)
_TOO_SLOW = (httpx2.TimeoutException, openai.APITimeoutError)


@contextmanager
def translated(backend: Backend) -> Generator[None]:
    """Run something that talks to the server; its failures come out as `BackendError`."""
    try:
        yield
    except Exception as error:
        failure = diagnose(error)
        if failure is None:
            raise
        raise explain(failure, backend) from error


def failure_of(error: BaseException) -> Failure | None:
    """Return the facts behind one of our errors; None where no server was asked."""
    return diagnose(error.__cause__) if isinstance(error, BackendError) and error.__cause__ else None


def diagnose(error: BaseException) -> Failure | None:
    """Return the facts of a failed call; None for an exception that says nothing about the server."""
    if isinstance(error, openai.APIStatusError | httpx2.HTTPStatusError):
        return Failure("status", _words(error), error.response.status_code, retry_after=_retry_after(error.response))
    if isinstance(error, openai.APIConnectionError | httpx2.RequestError):
        return _connection_failure(error)
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIResponseValidationError):
        return _event_failure(error)
    if isinstance(error, _UNREADABLE):
        return Failure("unreadable", f"{type(error).__name__}: {error}")
    return None


def _event_failure(error: openai.APIError) -> Failure:
    """Return the facts of an error event inside a stream."""
    code = _told(error.body).get("code")
    if isinstance(code, int) and code < _FIRST_SERVER_ERROR:
        return Failure("status", error.message, code)
    return Failure("broken", error.message)


def _connection_failure(error: BaseException) -> Failure:
    """Tell a server that is not there from one that is too slow, one that broke off and one that says other things."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _MAX_CAUSES:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, NotAReply):
            return Failure("unreadable", str(cause))
        if isinstance(cause, OutOfTime):
            return Failure("timeout", str(cause), setting=cause.setting)
    said = f"{type(causes[-1]).__name__}: {causes[-1]}"
    if any(isinstance(cause, httpx2.PoolTimeout) for cause in causes):
        return Failure("unreachable", said, ours=True)
    if any(isinstance(cause, _NOT_THERE) for cause in causes):
        return Failure("unreachable", said)
    return Failure("timeout" if any(isinstance(cause, _TOO_SLOW) for cause in causes) else "broken", said)


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds a server asks to wait; None for a date (its clock is not ours) and for anything else."""
    asked = response.headers.get("retry-after", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None  # noqa: PLR2004 - digits


def _words(error: openai.APIStatusError | httpx2.HTTPStatusError) -> str:
    """Return the server's own words: the error's message, else the body as it is."""
    body = error.body if isinstance(error, openai.APIStatusError) else None
    told = _told(body)
    return str(told.get("message") or dict(told) or body or error.response.reason_phrase)


def _told(body: object) -> Mapping[str, object]:
    """Return the fields of an error's body; none when it is not an object."""
    return cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}
