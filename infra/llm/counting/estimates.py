"""Upper estimates of token counts, for servers that do not count; learned from what they report.

Gives `measure` (a request body, or bare text → its size and make-up) and `Estimates`. The rule that needs no knowledge:
one token a UTF-8 byte, and the template's share. That is never too low for byte-level tokenizers without normalisation
(Qwen, Llama 3, GPT) and about four times too high for English, three times for Chinese (~4 and ~3 bytes a token).

After `ENOUGH` reports of long prompts of one kind the rule still holds for every piece of text that no report held, and
for what is no plain word or mark (capitals inside, no vowel, digits, long runs: `_is_plain`). A plain piece that a
report held is a token, and of each byte beyond its first the most that a report left for such bytes, and a half more.
On English passages (chat records, manuals, encyclopedia; two tokenizers of 100,000 and more tokens, two smaller ones)
that is 1.4 to 1.6 times the true count after 40 prompts and 1.5 to 2.1 times before, and never too low. It is too low
where a prompt consists of plain pieces that were a small part of earlier prompts and take many tokens: by up to a fifth
of the true count for the dearest tenth of known English words, by four tenths for invented words of vowels and
consonants.

Kinds are quarter shares of bytes outside ASCII and of bytes that are in no plain piece; each is learned anew. One
report above an estimate widens it at once. A server's figures are not believed beyond bounds, and a prompt that filled
the window may have been cut by the server: then what was learned of its kind is forgotten.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

MESSAGE_OVERHEAD = 16  # tokens a template may put around one message; ChatML needs 5, Llama 3 up to 10
TOOLS_OVERHEAD = 512  # Qwen3's tool preamble is about 130 tokens
UNLEARNED_ERROR = 0.75  # four bytes a token, as in English
ENOUGH = 5
SAFETY = 1.5
LEAST_RATE = 0.05  # tokens a byte beyond a piece's first: no report makes an estimate lower
MIN_BYTES = 2_000  # of shorter prompts the template's share decides
MAX_EXTRA = 16_384  # tokens that a server may put before every prompt (Ollama's SYSTEM)
MAX_PIECES = 65_536  # that are remembered; a prompt that holds more is measured by its bytes alone
_MOST_BELIEVED = 4  # tokens a byte
_QUARTERS = 4
_LONGEST_WORD, _LONGEST_MARKS, _NEEDS_VOWEL = 20, 4, 4
_VOWELS = frozenset("aeiouyAEIOUY")
# scripts without spaces between words, where a piece is a character: Thai, Lao, Burmese, Khmer, Chinese, Japanese
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# an escape of JSON, a character, a word, digits or marks, with the space before it; or white space
_PIECES = re.compile(rf" ?(?:\\[^u]|[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|\d+|_+|[^\w\s\\]+|\\)|\s+")

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is known of a prompt without a tokenizer.

    Attributes:
        size: UTF-8 bytes of messages and tools as JSON text, or of bare text.
        overhead: tokens that a template may add.
        kind: quarters of its bytes that are outside ASCII, and that are in no plain piece.
        odd: how many pieces are not plain, and their bytes.
        plain: the same of each plain piece, by its hash.
    """

    size: int
    overhead: int
    kind: tuple[int, int] = (0, _QUARTERS)
    odd: tuple[int, int] = (0, 0)
    plain: Mapping[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]], hash=False, repr=False)

    @property
    def bound(self) -> int:
        """Tokens by the rule that needs no knowledge."""
        return self.size + self.overhead

    @property
    def pieces(self) -> int:
        """How many pieces there are: about the fewest tokens."""
        return self.odd[0] + sum(times for times, _ in self.plain.values())


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
    rate: float = 0.0
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
        self._known: set[int] = set()
        self._extra = 0

    def of(self, prompt: Measure) -> Estimate:
        """Return the upper estimate of a prompt's tokens."""
        with self._lock:
            seen = self._seen.get(prompt.kind, _Seen())
            bound = prompt.bound + self._extra
            if prompt.size < MIN_BYTES or seen.reports < ENOUGH:
                return Estimate(bound, UNLEARNED_ERROR)
            rate = min(1.0, max(SAFETY * seen.rate, LEAST_RATE))
            known = [counted for piece, counted in prompt.plain.items() if piece in self._known]
            saved = sum((1 - rate) * (size - times) for times, size in known)
            tokens = min(bound, math.ceil(prompt.size - saved) + prompt.overhead + self._extra)
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
                self._learn(prompt, tokens)

    def _learn(self, prompt: Measure, tokens: int) -> None:
        seen, pieces = self._seen.get(prompt.kind, _Seen()), prompt.pieces
        rate = (tokens - pieces) / max(prompt.size - pieces, 1)
        self._seen[prompt.kind] = replace(
            seen,
            reports=seen.reports + 1,
            rate=max(seen.rate, rate),
            least=min(seen.least, tokens / prompt.size),
        )
        if len(self._known) + len(prompt.plain) > MAX_PIECES:
            self._known.clear()
        self._known.update(prompt.plain)


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
    found = Counter(_PIECES.findall(text))
    odd_times = odd_size = 0
    plain: dict[int, tuple[int, int]] = {}
    for piece, times in found.items():
        held = times * len(piece.encode("utf-8", "surrogatepass"))
        if _is_plain(bare := piece.lstrip(" ")):
            times_before, held_before = plain.get(hash(bare), (0, 0))
            plain[hash(bare)] = (times_before + times, held_before + held)
        else:
            odd_times, odd_size = odd_times + times, odd_size + held
    if len(plain) > MAX_PIECES:
        return Measure(size, overhead)
    kind = (_quarters(size - ascii_bytes, size), _quarters(odd_size, size))
    return Measure(size, overhead, kind, (odd_times, odd_size), plain)


def _is_plain(piece: str) -> bool:
    """Return whether a piece is a word as people write it, or a few marks: other text takes up to a token a byte."""
    if not piece or not piece[0].isalpha():
        return len(piece) <= _LONGEST_MARKS and not piece[:1].isdigit()
    if len(piece) > _LONGEST_WORD or piece[1:] != piece[1:].lower():
        return False
    return len(piece) < _NEEDS_VOWEL or not piece.isascii() or not _VOWELS.isdisjoint(piece)


def _quarters(part: int, whole: int) -> int:
    return round(_QUARTERS * part / max(whole, 1))


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False)
