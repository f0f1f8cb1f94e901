"""Local counts that are known to be the server's.

Gives `CheckedTokens`. For every shape of prompt a probe is counted both here and by the server, once; at the first
difference local counting is switched off for this back end, and one line in the log says why. Where the server does not
count, the local counts are guesses until a report of what a call took confirms one of its shape.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx2
from loguru import logger

from infra.errors import ConfigurationError
from infra.llm.counting.local import LocalTokens, open_local
from infra.llm.counting.messages import ContentFormat, Unrenderable
from infra.llm.counting.rendering import TemplateTooSlow
from infra.llm.counting.server import ServerTokens
from infra.llm.counting.shapes import Shape, probe
from infra.llm.counting.steps import Steps, Work
from infra.llm.endpoint import Backend

MAX_SHAPES = 64
_FORMATS: tuple[ContentFormat, ...] = ("string", "openai")
_REFUSALS = (400, 422, 500)

Wire = Mapping[str, Any]
Guesses = Mapping[ContentFormat, int]


class CheckedTokens:
    """The local counts of one back end; thread-safe: two that check at once find the same.

    Args:
        backend: whose tokens they are, and where its tokenizer is.
        server: its own counts.
    """

    def __init__(self, backend: Backend, server: ServerTokens) -> None:
        self._model = backend.model
        self._server = server
        self._folder = backend.tokenizer  # None: there is none, or it does not count as the server does
        self._local: LocalTokens | None = None
        self._forms: dict[Shape, ContentFormat | None] = {}  # None: the server's to count

    @property
    def is_on(self) -> bool:
        """Whether there is a tokenizer that is not known to count otherwise than the server."""
        return self._folder is not None

    def count(self, body: Wire, shape: Shape) -> Steps[int | Guesses | None]:
        """Count a request body.

        Args:
            body: what to count.
            shape: its shape.

        Returns:
            Its tokens; guesses where nobody has checked its shape; None where the server has to count it.
        """
        if self._local is None and self.is_on:
            self._local = yield Work(self._open)
        local = self._local
        if local is not None and shape not in self._forms and len(self._forms) < MAX_SHAPES:
            yield from self._check(local, shape)
        if local is None or not self.is_on:
            return None
        if shape in self._forms:
            form = self._forms[shape]
            return (yield Work(partial(self._counted, local, body, form))) if form else None
        counts = yield Work(partial(self._each, local, body))
        return {form: tokens for form, tokens in counts.items() if tokens is not None}

    def reported(self, shape: Shape, counted: int | Guesses, prompt_tokens: int) -> None:
        """Compare a count with what the server says the call took."""
        if isinstance(counted, int):
            if counted != prompt_tokens:
                self._switch_off(f"{counted:,} tokens here, {prompt_tokens:,} reported")
            return
        agreed = _agreed(counted, prompt_tokens)
        if agreed is not None and len(self._forms) < MAX_SHAPES:
            self._forms.setdefault(shape, agreed)
        elif agreed is None and counted:
            self._switch_off(f"{[*counted.values()]} tokens here, {prompt_tokens:,} reported")

    def _check(self, local: LocalTokens, shape: Shape) -> Steps[None]:
        body = probe(shape, self._model, local.added_tokens)
        own: dict[ContentFormat, int | None] = yield Work(partial(self._each, local, body))
        if not any(own.values()):
            self._forms[shape] = None  # the template refuses such prompts: the server says what becomes of them
            return
        try:
            told = yield from self._server.count(body)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code not in _REFUSALS:
                raise
            self._switch_off(f"the server answers {error.response.status_code} to a probe")
            return
        if told is None:
            return
        self._forms[shape] = _agreed(own, told)
        if self._forms[shape] is None:
            self._switch_off(f"{[*own.values()]} tokens of a probe here, {told:,} by the server")

    def _each(self, local: LocalTokens, body: Wire) -> dict[ContentFormat, int | None]:
        return {form: self._counted(local, body, form) for form in _FORMATS}

    def _counted(self, local: LocalTokens, body: Wire, form: ContentFormat) -> int | None:
        try:
            return local.count_text(body["prompt"]) if "prompt" in body else local.count_chat(body, form)
        except TemplateTooSlow as error:
            self._switch_off(str(error))
        except Unrenderable as error:
            logger.debug("a prompt for {} is left to the server to count: {}", self._model, error)
        return None

    def _open(self) -> LocalTokens | None:
        try:
            return open_local(self._folder) if self._folder else None
        except ConfigurationError as error:
            self._switch_off(str(error))
            return None

    def _switch_off(self, why: str) -> None:
        folder, self._folder, self._local = self._folder, None, None
        if folder is not None:
            logger.warning("tokens of {} are not counted with {}: {}", self._model, folder, why)


def _agreed(counts: Mapping[ContentFormat, int | None], told: int) -> ContentFormat | None:
    return next((form for form, tokens in counts.items() if tokens == told), None)
