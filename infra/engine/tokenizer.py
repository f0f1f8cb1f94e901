"""Token counts, exact by definition: the engine's own tokenizer, which needs no vocabulary.

A token is a stretch of at most ``TOKEN_BYTES`` UTF-8 bytes, always whole characters, that stays inside one word (with
the space before it), number, run of punctuation or run of white space. Its id is those bytes behind a 1, read as an
integer, so ids below 256 are free for the special tokens and any id can be turned back into its text. English prose
comes out near four characters a token, as with a trained vocabulary; special tokens are made by the chat template,
never read out of a text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

TOKEN_BYTES = 6
TOKEN_CHARS = TOKEN_BYTES
"""Most characters one token can stand for: the bound that vLLM calls max_chars_per_token."""

SPECIAL = {1: "<|im_start|>", 2: "<|im_end|>"}
IM_START, IM_END = SPECIAL
END_OF_REPLY = IM_END

_PIECE = re.compile(r" ?[^\W\d_]{1,23}| ?\d{1,3}| ?(?:[^\w\s]|_){1,23}|\s{1,23}(?!\S)|\s")


def encode(text: str) -> list[int]:
    """Return the ids of ``text``; their texts put together are ``text``.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    ids: list[int] = []
    for piece in _PIECE.findall(text):
        ids += _piece_ids(piece)
    return ids


def encode_all(pieces: Iterable[str | int]) -> list[int]:
    """Return the ids of a prompt: texts are encoded each for itself, numbers are special tokens."""
    ids: list[int] = []
    for piece in pieces:
        ids += (piece,) if isinstance(piece, int) else encode(piece)
    return ids


def decode(ids: Sequence[int]) -> str:
    """Return the text of ``ids``; an id that stands for nothing is left out."""
    return "".join(map(token_text, ids))


def token_text(token: int) -> str:
    """Return the text of one token, '' for an id that stands for nothing."""
    if token in SPECIAL:
        return SPECIAL[token]
    size = max(token.bit_length() - 1, 0) // 8
    if token >> (8 * size) != 1 or size > TOKEN_BYTES:
        return ""
    return token.to_bytes(size + 1)[1:].decode(errors="replace")


@lru_cache(maxsize=65_536)
def _piece_ids(piece: str) -> tuple[int, ...]:
    return tuple(int.from_bytes(b"\x01" + part) for part in _parts(piece))


def _parts(piece: str) -> Iterator[bytes]:
    if piece.isascii():
        data = piece.encode()
        yield from (data[at : at + TOKEN_BYTES] for at in range(0, len(data), TOKEN_BYTES))
        return
    held = b""
    for char in piece:
        data = char.encode()
        if len(held) + len(data) > TOKEN_BYTES:
            yield held
            held = b""
        held += data
    yield held
