"""The prefix cache as a model: which leading tokens of a prompt a server with prefix caching would not compute again.

As in vLLM, whole blocks of 16 tokens count, each known by itself and all before it; the last token of a prompt is
always computed; the least recently used blocks go first. Thread-safe. Nothing is stored but the blocks' hashes.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock

BLOCK_TOKENS = 16
CAPACITY_BLOCKS = 16_384


class PrefixCache:
    """Blocks of tokens seen lately.

    Args:
        capacity_blocks: blocks it remembers; 16,384 blocks are 262,144 tokens, two windows of 128K.
    """

    def __init__(self, capacity_blocks: int = CAPACITY_BLOCKS) -> None:
        self._capacity = capacity_blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._lock = Lock()

    def cached_tokens(self, prompt: Sequence[int]) -> int:
        """Return how many leading tokens of ``prompt`` are known; 0 or a multiple of ``BLOCK_TOKENS``, never all."""
        cached = 0
        with self._lock:
            for block in _blocks(prompt[:-1]):
                if block not in self._blocks:
                    break
                cached += BLOCK_TOKENS
        return cached

    def remember(self, tokens: Sequence[int]) -> None:
        """Keep the whole blocks of ``tokens`` (a prompt, or a prompt with its reply)."""
        known = list(_blocks(tokens))
        with self._lock:
            for block in reversed(known):  # a prefix outlives what follows it
                self._blocks[block] = None
                self._blocks.move_to_end(block)
            while len(self._blocks) > self._capacity:
                self._blocks.popitem(last=False)


def _blocks(tokens: Sequence[int]) -> Iterator[int]:
    before = 0
    for at in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        before = hash((before, *tokens[at : at + BLOCK_TOKENS]))
        yield before
