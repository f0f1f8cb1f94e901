"""Asking a server what it is: small JSON answers, bounded in time and size, whatever the server does.

Gives `Probe`, one server and one deadline for all that is asked of it. What comes back is checked against a pydantic
type; everything else is a `BackendError` of one line that names the setting that helps. No other address is contacted:
redirects are not followed, proxies of the environment not used (`infra.llm.endpoint.open_clients`). That time is kept
and nothing is decompressed is seen to by `infra.llm.bounds`.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from infra.errors import BackendError, BackendUnavailable
from infra.llm.bounds import TOTAL
from infra.llm.endpoint import Clients
from infra.settings import BackendKind
from infra.text.plain import short_line

Shape = TypeVar("Shape", bound=BaseModel)

MAX_BYTES = 1_000_000
_REFUSED = (401, 403)
_BUSY = 503  # llama.cpp while it loads its model, vLLM with a full queue
_WITHOUT_KEY = ("ollama", "engine")


class Probe:
    """One server that is being asked.

    Args:
        kind: which kind it should be.
        base_url: where its OpenAI API answers.
        clients: what carries the questions; their owner closes them.
        seconds: time for everything together.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        kind: BackendKind,
        base_url: str,
        clients: Clients,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = kind
        self.base_url = base_url
        self._clients = clients
        self._clock = clock
        self._deadline = clock() + seconds

    @property
    def root_url(self) -> str:
        """The base URL without ``/v1``."""
        return self.base_url.removesuffix("/v1")

    def setting(self, field: str) -> str:
        """Return the name of one of this kind's settings."""
        return f"DOCMIND_{self.kind.upper()}__{field}"

    def get(self, url: str, shape: type[Shape]) -> Shape:
        """Return what ``url`` answers.

        Raises:
            BackendUnavailable: nothing answers, it is not ready, or the time is up.
            BackendError: it refuses, or answers something else.
        """
        return self._ask("GET", url, None, shape)

    def post(self, url: str, body: Mapping[str, Any], shape: type[Shape]) -> Shape:
        """Return what ``url`` answers to a JSON body; raises as `get` does."""
        return self._ask("POST", url, body, shape)

    def told(self, url: str, shape: type[Shape], body: Mapping[str, Any] | None = None) -> Shape | None:
        """Return what ``url`` answers (to ``body``, when given), or None where the server does not say."""
        try:
            return self._ask("GET" if body is None else "POST", url, body, shape)
        except BackendError:  # an optional fact; what is needed is asked with get or post, which do raise
            return None

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None, shape: type[Shape]) -> Shape:
        try:
            return shape.model_validate_json(self._read(method, url, body))
        except httpx2.HTTPStatusError as error:
            raise self._refusal(url, error.response.status_code) from error
        except httpx2.HTTPError as error:
            said = short_line(f"{type(error).__name__}: {error}")
            help_ = f"start the server, set {self.setting('BASE_URL')}, or use DOCMIND_BACKEND=engine"
            raise BackendUnavailable(f"no model server answers at {url} ({said}); {help_}") from error
        except ValidationError as error:
            said = short_line(error.errors()[0]["msg"])
            what = "what an OpenAI API would not" if url.startswith(f"{self.base_url}/") else "what it should not"
            raise BackendError(f"{url} answered {what} ({said}); {self._check}") from error

    def _refusal(self, url: str, status: int) -> BackendError:
        if status == _BUSY:
            return BackendUnavailable(f"{url} answered {status}: still loading its model, or busy; ask again later")
        if status in _REFUSED and self.kind not in _WITHOUT_KEY:
            return BackendError(f"{url} answered {status}; set {self.setting('API_KEY')}")
        return BackendError(f"{url} answered {status}; {self._check}")

    @property
    def _check(self) -> str:
        return f"check {self.setting('BASE_URL')} (it ends in /v1)"

    def _read(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        left, headers = self._left(), self._clients.headers
        own = {TOTAL: left}
        with self._clients.blocking.stream(
            method, url, json=body, headers=headers, timeout=left, extensions=own
        ) as response:
            response.raise_for_status()
            read = bytearray()
            for piece in response.iter_bytes():
                read += piece
                if len(read) > MAX_BYTES:
                    raise httpx2.ReadError("the answer is too long", request=response.request)
        return bytes(read)

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise httpx2.ReadTimeout("the time is up")
        return left
