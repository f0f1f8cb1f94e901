"""JSON asked of a server beside the language model's, such as one for embeddings: bounded, and tried again.

Gives `JsonServer`, thread-safe and blocking. A request has a bound on its time, whatever the server sends and however
slowly (a silence at the end may add as much again), and on the size of its answer. What may pass (no connection,
silence, busy, broken) is tried again with growing pauses; the rest is one `BackendError` of one line that names the
setting. The only address contacted is the configured one: no proxy of the environment, no redirect, and nothing is
decompressed. The key is never part of a message.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import finalize

import httpx2
import tenacity
from pydantic import BaseModel, SecretStr, ValidationError

from infra.errors import BackendError, BackendUnavailable
from infra.text.plain import short_line

Shape = TypeVar("Shape", bound=BaseModel)

MAX_BYTES = 64 * 2**20
"""2,048 vectors of 1,024 numbers are about 45 MB of JSON."""
CONNECT_SECONDS = 5.0
TRIES = 4
LONGEST_PAUSE_SECONDS = 8.0
_REFUSED_KEY = (401, 403)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_SHOWN_BYTES = 1_000
_OK = 200


@dataclass(frozen=True, slots=True)
class Address:
    """A server as its section of the settings describes it.

    Attributes:
        what: its name in messages, such as ``the embedding server``.
        section: the beginning of its settings' names, such as ``DOCMIND_EMBEDDING``.
        base_url: where its API answers, ending in ``/v1``.
        api_key: sent as a bearer token where there is one.
        timeout_seconds: one try of a request, from end to end.
    """

    what: str
    section: str
    base_url: str
    api_key: SecretStr
    timeout_seconds: float


class Refusal(BackendError):  # noqa: N818 - the field's word
    """The server answered with another status than 200.

    Attributes:
        status: the HTTP status.
        retry_after: seconds it asks to wait, where it does.
    """

    def __init__(self, message: str, status: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class JsonServer:
    """One server; its connections are closed with the last who uses it.

    Args:
        address: where and how it is reached.
        pause: seconds before the next try after ``n`` failed ones; tests wait not at all.
    """

    def __init__(
        self,
        address: Address,
        pause: Callable[[int], float] = lambda tried: min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** (tried - 1)),
    ) -> None:
        self.address = address
        self._pause = pause
        key = address.api_key.get_secret_value()
        seconds = address.timeout_seconds
        self._client = httpx2.Client(
            transport=httpx2.HTTPTransport(trust_env=False),
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
            trust_env=False,
            follow_redirects=False,
        )
        self.close = finalize(self, self._client.close)

    def get(self, path: str, shape: type[Shape], *, tries: int = TRIES) -> Shape:
        """Return what a path under the base URL answers; raises as `post` does."""
        return self._patiently("GET", path, None, shape, tries)

    def post(self, path: str, body: Mapping[str, Any], shape: type[Shape], *, tries: int = TRIES) -> Shape:
        """Return what a path under the base URL answers to a JSON body.

        Raises:
            Refusal: it answered another status than 200, and went on to do so where that may pass.
            BackendUnavailable: it cannot be reached, or was too slow, or broke off.
            BackendError: its answer cannot be read.
        """
        return self._patiently("POST", path, body, shape, tries)

    def _patiently(
        self, method: str, path: str, body: Mapping[str, Any] | None, shape: type[Shape], tries: int
    ) -> Shape:
        trying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries),
            wait=self._wait,
            retry=tenacity.retry_if_exception(_can_pass),
            reraise=True,
        )
        return trying(self._ask, method, path, body, shape)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Refusal) else 0.0
        return max(self._pause(state.attempt_number), min(asked, LONGEST_PAUSE_SECONDS))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, shape: type[Shape]) -> Shape:
        who, section = f"{self.address.what} at {self.address.base_url}", self.address.section
        try:
            return shape.model_validate_json(self._read(method, f"{self.address.base_url}{path}", body))
        except httpx2.TimeoutException as error:
            hint = f"start it, check {section}__BASE_URL, or raise {section}__TIMEOUT_SECONDS"
            raise BackendUnavailable(f"{who} did not answer in time ({self._shown(error)}); {hint}") from error
        except httpx2.HTTPError as error:
            hint = f"start it, or check {section}__BASE_URL"
            raise BackendUnavailable(f"{who} cannot be reached ({self._shown(error)}); {hint}") from error
        except ValidationError as error:
            said = short_line(str(error.errors(include_url=False, include_input=False)[0]["msg"]))
            raise BackendError(f"{who} answered what cannot be read ({said}); check {section}__BASE_URL") from error

    def _read(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        deadline = time.monotonic() + self.address.timeout_seconds
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        read = bytearray()
        with self._client.stream(method, url, content=content, headers=headers) as response:
            for piece in response.iter_raw():
                read += piece
                if len(read) > (MAX_BYTES if response.status_code == _OK else _SHOWN_BYTES):
                    break
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(f"not done after {self.address.timeout_seconds:g} s")
        if response.status_code != _OK:
            raise self._refusal(response, bytes(read[:_SHOWN_BYTES]))
        if len(read) > MAX_BYTES:
            raise BackendError(f"{self.address.what} at {self.address.base_url} answered more than {MAX_BYTES:,} bytes")
        return bytes(read)

    def _refusal(self, response: httpx2.Response, said: bytes) -> Refusal:
        status, section = response.status_code, self.address.section
        hint = f"check {section}__BASE_URL (it ends in /v1) and {section}__MODEL"
        if status in _REFUSED_KEY:
            hint = f"set {section}__API_KEY"
        words = short_line(self._without_key(said.decode("utf-8", "replace")))
        after = response.headers.get("retry-after", "")
        return Refusal(
            f"{self.address.what} at {self.address.base_url} answered {status} ({words}); {hint}",
            status,
            float(after) if after.isascii() and after.isdigit() else 0.0,
        )

    def _shown(self, error: Exception) -> str:
        return short_line(self._without_key(f"{type(error).__name__}: {error}"))

    def _without_key(self, text: str) -> str:
        key = self.address.api_key.get_secret_value()
        return text.replace(key, "***") if key else text


def _can_pass(error: BaseException) -> bool:
    return error.status in _PASSING if isinstance(error, Refusal) else isinstance(error, BackendUnavailable)
