"""Questions to a running server, as they are: one request, one bounded answer, nothing asked again.

Gives `Server.ask`. The doctor's and the watcher's questions leave here and not through the guard: it would count, cut,
repeat and ask in plainer forms, and so hide what is looked for; nothing of a document is ever asked. Time and size of
an answer are bounded, redirects and proxies are not followed (`infra.llm.endpoint.open_clients`), and the key is in no
message.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from infra.llm.bounds import TOTAL
from infra.llm.diagnose import diagnose
from infra.llm.endpoint import Transports, open_clients
from infra.text.plain import short_line

MAX_BYTES = 4 * 2**20
"""Metrics of a server with many engines are some hundred KB."""
CONNECT_SECONDS = 3.0
_OK = 200
_NO_KEY = ("", "EMPTY", "none")

Shape = TypeVar("Shape", bound=BaseModel)


class _Error(BaseModel):
    """The body of a refusal: vLLM's object, its plain string (401), or FastAPI's ``detail``."""

    error: dict[str, Any] | str | None = None
    detail: Any = None

    @property
    def words(self) -> str:
        if isinstance(self.error, dict):
            return str(self.error.get("message") or self.error)
        return str(self.error or self.detail or "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        body: as it came, at most `MAX_BYTES`.
        words: of a refusal or of a failed connection, on one line; empty for a 200.
    """

    status: int
    body: bytes = b""
    words: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a 200."""
        return self.status == _OK

    def read(self, shape: type[Shape]) -> Shape | None:
        """Return the body as ``shape``; None for another status and for what cannot be read."""
        try:
            return shape.model_validate_json(self.body) if self.ok else None
        except ValidationError:
            return None


class Server:
    """One server that is being asked; close it, or use it as a context.

    Args:
        base_url: where its OpenAI API answers; ``/v1`` may be left out.
        api_key: sent with every request; ``EMPTY`` stands for none.
        seconds: one request, from end to end.
        transports: what carries the requests; None is the network.
    """

    def __init__(
        self, base_url: str, api_key: SecretStr, *, seconds: float = 60.0, transports: Transports | None = None
    ) -> None:
        self.root_url = base_url.rstrip("/").removesuffix("/v1")
        self.base_url = f"{self.root_url}/v1"
        self._key = api_key.get_secret_value()
        self._seconds = seconds
        key = "" if self._key in _NO_KEY else self._key
        self.clients = open_clients(transports, connect_seconds=CONNECT_SECONDS, call_seconds=seconds, api_key=key)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clients.close()

    @property
    def keyed(self) -> bool:
        """Whether a key is sent."""
        return self._key not in _NO_KEY

    def get(self, path: str, *, seconds: float | None = None, other_key: str = "") -> Answer:
        """Return what a path answers: below ``/v1`` where it begins so, else below the root.

        ``other_key`` is sent in the place of the server's own.
        """
        return self._ask("GET", path, None, seconds, {"Authorization": f"Bearer {other_key}"} if other_key else {})

    def post(self, path: str, body: dict[str, Any], *, seconds: float | None = None) -> Answer:
        """Return what a path answers to a JSON body."""
        return self._ask("POST", path, body, seconds, {})

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, seconds: float | None, more: Mapping[str, str]
    ) -> Answer:
        url, total = f"{self.root_url}{path}", seconds or self._seconds
        try:
            with self.clients.blocking.stream(
                method,
                url,
                json=body,
                headers={**self.clients.headers, **more},
                timeout=total,
                extensions={TOTAL: total},
            ) as response:
                read = bytearray()
                for piece in response.iter_bytes():
                    read += piece
                    if len(read) > MAX_BYTES:
                        return Answer(0, words=f"more than {MAX_BYTES:,} bytes")
        except Exception as error:
            failure = diagnose(error)
            if failure is None:
                raise
            return Answer(0, words=self._shown(failure.message))
        status = response.status_code
        return Answer(status, bytes(read), "" if status == _OK else self._shown(_words(bytes(read))))

    def _shown(self, words: str) -> str:
        hidden = words.replace(self._key, "***") if self.keyed else words
        return short_line(hidden)


def _words(body: bytes) -> str:
    try:
        return _Error.model_validate(json.loads(body)).words
    except (ValueError, RecursionError):
        return body[:1_000].decode("utf-8", "replace")
