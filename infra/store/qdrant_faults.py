"""What goes wrong with a Qdrant server, as one line that names the setting; what may pass is tried again.

Gives `Patience`: blocking and awaiting calls of qdrant-client, each tried up to three times. All calls of the store may
be repeated: points are written by id and deleted by condition. The key is never part of a message.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity
from pydantic import SecretStr, ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from infra.errors import StoreError
from infra.store.qdrant_bounds import TooMuch
from infra.text.plain import short_line

Answer = TypeVar("Answer")

TRIES = 3
LONGEST_PAUSE_SECONDS = 4.0
_REFUSED = (401, 403)
_NOT_QDRANT = ("its answer is not Qdrant's", "check DOCMIND_QDRANT__URL")
_PASSING = (408, 429, 502, 503, 504)
_UNREADABLE = (json.JSONDecodeError, RecursionError, UnicodeDecodeError)
_VENDOR = (ApiException, QdrantException, ValueError, *_UNREADABLE)
"""What the client raises; ValueError for arguments that it refuses itself."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How calls to one server are made.

    Attributes:
        url: the server, as messages name it.
        api_key: struck out of whatever the server says.
        pause: seconds before try ``n + 1``; tests set it to none.
    """

    url: str
    api_key: SecretStr
    pause: Callable[[int], float] = lambda tried: min(LONGEST_PAUSE_SECONDS, 0.25 * 2**tried)

    def do(self, what: str, call: Callable[[], Answer]) -> Answer:
        """Return what ``call`` returns. Raises StoreError."""
        try:
            return tenacity.Retrying(**self._policy())(call)
        except _VENDOR as error:
            raise self._explained(what, error) from error

    async def await_(self, what: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Await what ``call`` begins. Raises StoreError."""

        async def tried() -> Answer:
            return await call()

        try:
            return await tenacity.AsyncRetrying(**self._policy())(tried)
        except _VENDOR as error:
            raise self._explained(what, error) from error

    def _policy(self) -> dict[str, Any]:
        return {
            "stop": tenacity.stop_after_attempt(TRIES),
            "wait": self._pause_of,
            "retry": tenacity.retry_if_exception(_can_pass),
            "reraise": True,
        }

    def _pause_of(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = float(error.retry_after_s) if isinstance(error, ResourceExhaustedResponse) else 0.0
        return min(LONGEST_PAUSE_SECONDS, max(asked, self.pause(state.attempt_number)))

    def _explained(self, what: str, error: Exception) -> StoreError:
        who = f"Qdrant at {self.url} could not {what}"
        said, help_ = _said_and_help(error)
        key = self.api_key.get_secret_value()
        said = said.replace(key, "***") if key else said
        return StoreError(f"{who}: {short_line(said)}; {help_}")


def _said_and_help(error: Exception) -> tuple[str, str]:
    if isinstance(error, ResponseHandlingException):
        return _without_answer(error.source)
    if isinstance(error, UnexpectedResponse):
        if error.status_code in _REFUSED:
            return f"it answered {error.status_code}", "set DOCMIND_QDRANT__API_KEY"
        return f"it answered {error.status_code} ({_words_of(error)})", "check DOCMIND_QDRANT__URL and the server's log"
    return _NOT_QDRANT if isinstance(error, _UNREADABLE) else (str(error), "see the server's log")


def _without_answer(source: Exception) -> tuple[str, str]:
    if isinstance(source, ValidationError):
        return _NOT_QDRANT
    if isinstance(source, TooMuch):
        return str(source), "check DOCMIND_QDRANT__URL"
    if "timeout" in type(source).__name__.lower():
        return f"no answer in time ({str(source) or type(source).__name__})", "raise DOCMIND_QDRANT__TIMEOUT_SECONDS"
    return f"it cannot be reached ({source})", "start it, or check DOCMIND_QDRANT__URL"


def _words_of(error: UnexpectedResponse) -> str:
    """The server's own words: ``status.error`` of its answer, or what else it said."""
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return error.content[:1_000].decode("utf-8", "replace") or error.reason_phrase


def _can_pass(error: BaseException) -> bool:
    if isinstance(error, ResponseHandlingException):
        return not isinstance(error.source, ValidationError | TooMuch)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _PASSING
    return isinstance(error, ResourceExhaustedResponse)
