"""Upper estimates of token counts, for servers that do not count; learned from what they report.

Gives `measure` (a request body, or bare text → its size and kind) and `Estimates`. The rule that needs no knowledge:
one token a UTF-8 byte, and the template's share. That is never too low for byte-level tokenizers without normalisation
(Qwen, Llama 3, GPT) and about four times too high for English, three times for Chinese (~4 and ~3 bytes a token). With
`ENOUGH` reports of long prompts of one kind, the most tokens a byte ever reported for it, and a quarter more, take its
place.

Kinds are quarter shares of bytes outside ASCII and of bytes that are no plain words (digits, punctuation, long runs):
text of another make-up has other tokens a byte, so it starts anew. One report above an estimate widens it at once. A
server's figures are not believed beyond bounds, and a prompt that filled the window may have been cut by the server:
then what was learned of its kind is forgotten.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

MESSAGE_OVERHEAD = 16  # tokens a template may put around one message; ChatML needs 5, Llama 3 up to 10
TOOLS_OVERHEAD = 512  # Qwen3's tool preamble is about 130 tokens
UNLEARNED_ERROR = 0.75  # four bytes a token, as in English
ENOUGH = 5
SAFETY = 1.25
LEAST_RATIO = 0.2  # tokens a byte: no report makes an estimate lower
MIN_BYTES = 2_000  # of shorter prompts the template's share decides
MAX_EXTRA = 16_384  # tokens that a server may put before every prompt (Ollama's SYSTEM)
_MOST_BELIEVED = 4  # tokens a byte
_WORDS = re.compile(r" ?\b[A-Za-z]{1,20}\b")
_QUARTERS = 4

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is known of a prompt without a tokenizer.

    Attributes:
        size: UTF-8 bytes of messages and tools as JSON text, or of bare text.
        overhead: tokens that a template may add.
        kind: quarters of its bytes that are outside ASCII, and that are ASCII but no plain words.
    """

    size: int
    overhead: int
    kind: tuple[int, int]

    @property
    def bound(self) -> int:
        """Tokens by the rule that needs no knowledge."""
        return self.size + self.overhead


@dataclass(frozen=True, slots=True)
class Estimate:
    """An upper estimate.

    Attributes:
        tokens: at most so many.
        error: share of `tokens` by which it may be too high, as far as was learned.
    """

    tokens: int
    error: float


@dataclass(frozen=True, slots=True)
class _Seen:
    reports: int = 0
    most: float = 0.0
    least: float = math.inf


class Estimates:
    """The estimates of one model on one back end; thread-safe.

    Args:
        window: the back end's tokens; a prompt that fills it may have been cut.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._lock = Lock()
        self._seen: dict[tuple[int, int], _Seen] = {}
        self._extra = 0

    def of(self, prompt: Measure) -> Estimate:
        """Return the upper estimate of a prompt's tokens."""
        with self._lock:
            seen = self._seen.get(prompt.kind, _Seen())
            bound = prompt.bound + self._extra
            if prompt.size < MIN_BYTES or seen.reports < ENOUGH:
                return Estimate(bound, UNLEARNED_ERROR)
            ratio = max(SAFETY * seen.most, LEAST_RATIO)
            tokens = min(bound, math.ceil(ratio * prompt.size) + prompt.overhead + self._extra)
            return Estimate(tokens, round(max(0.0, 1 - seen.least * prompt.size / tokens), 4))

    def reported(self, prompt: Measure, tokens: int) -> None:
        """Learn what the server says a prompt took."""
        if not 0 < tokens <= _MOST_BELIEVED * prompt.bound + MAX_EXTRA:
            return
        with self._lock:
            self._extra = max(self._extra, min(tokens - prompt.bound, MAX_EXTRA))
            if tokens >= self._window - 1:
                self._seen.pop(prompt.kind, None)
            elif prompt.size >= MIN_BYTES:
                seen, ratio = self._seen.get(prompt.kind, _Seen()), tokens / prompt.size
                self._seen[prompt.kind] = replace(
                    seen, reports=seen.reports + 1, most=max(seen.most, ratio), least=min(seen.least, ratio)
                )


def measure(body: Wire) -> Measure:
    """Return the measure of a chat's or a bare text's request body."""
    if "prompt" in body:
        return _measure(str(body["prompt"]), 0)
    messages: Sequence[Wire] = body["messages"]
    tools = body.get("tools")
    text = "".join(map(_text, messages)) + (_text(tools) if tools else "")
    return _measure(text, MESSAGE_OVERHEAD * len(messages) + (TOOLS_OVERHEAD if tools else 0))


def _measure(text: str, overhead: int) -> Measure:
    size = len(text.encode("utf-8", "surrogatepass"))
    ascii_bytes = size if text.isascii() else len(text.encode("ascii", "ignore"))
    rest = ascii_bytes - sum(map(len, _WORDS.findall(text)))
    whole = max(size, 1)
    return Measure(size, overhead, (round(_QUARTERS * (size - ascii_bytes) / whole), round(_QUARTERS * rest / whole)))


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False)
