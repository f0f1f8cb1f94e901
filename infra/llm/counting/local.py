"""Counting with the model's own tokenizer and chat template, on this machine.

Gives `LocalTokens`: tokens of a chat completion's prompt, or of bare text, without asking a server. The prompt is
rendered whole, cut at special tokens, and the counts of its pieces are remembered by content, so a growing conversation
is tokenized only where it is new. Whether the counts are the server's is checked by `infra.llm.tokens`.

Why cutting is exact: the tokenizers library first splits a text at its added tokens that are not normalised (leftmost,
longest), and only then normalises, pre-tokenizes and encodes what lies between, each part for itself
(``added_vocabulary.rs``, ``extract_and_normalize``). A piece begins with the special token it is cut at, so only the
first piece begins where the text begins (Metaspace's ``prepend_scheme: first`` looks at that). Cut is only at
tokens that always match where they stand: see `_cuts`.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from tokenizers import AddedToken, Tokenizer

from infra.errors import ConfigurationError
from infra.llm.counting.messages import ContentFormat, Unrenderable, Wire
from infra.llm.counting.rendering import ChatTemplate, open_template
from infra.text.plain import short_line

MAX_PIECES = 65_536
MAX_CHARS = 16_000_000
"""Pieces whose counts are remembered, and their characters; they are kept whole, so none is taken for another."""
MAX_TOKENIZER_BYTES = 256_000_000


class LocalTokens:
    """The tokenizer and the template of one model folder; thread-safe.

    Args:
        tokenizer: as `tokenizers` reads it; its truncation and padding are turned off.
        template: of the same folder.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer: Any = tokenizer  # its stubs are partly untyped
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._template = template
        self._added: list[AddedToken] = list(self._tokenizer.get_added_tokens_decoder().values())
        cuts = _cuts(self._added, template.text)
        self._cut = re.compile("|".join(map(re.escape, cuts))) if cuts else None
        self._lock = Lock()
        self._known: OrderedDict[str, int] = OrderedDict()
        self._chars = 0

    @property
    def added_tokens(self) -> list[str]:
        """Texts that are one token each, in the order of their numbers."""
        return [token.content for token in self._added]

    def count_chat(self, body: Wire, form: ContentFormat) -> int:
        """Count a chat completion's prompt.

        Args:
            body: messages, tools and template options, as `infra.llm.tokens.chat_body` gives them.
            form: what contents are to the template.

        Raises:
            Unrenderable: only the server can count it.
        """
        return self.count_text(self.render(body, form))

    def count_text(self, text: str) -> int:
        """Count bare text; no special tokens are added.

        Raises:
            Unrenderable: it holds a lone surrogate, which no server can be sent either.
        """
        pieces = self.pieces(text)
        with self._lock:
            counts = {piece: self._known[piece] for piece in pieces if piece in self._known}
            for piece in counts:
                self._known.move_to_end(piece)
        if new := [piece for piece in dict.fromkeys(pieces) if piece not in counts]:
            counts |= self._encoded(new)
        return sum(map(counts.__getitem__, pieces))

    def count_whole(self, text: str) -> int:
        """Count bare text in one go and remember nothing: what `count_text` is checked and measured against."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def forget(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._known.clear()
            self._chars = 0

    def render(self, body: Wire, form: ContentFormat) -> str:
        """Return a chat completion's prompt. Raises Unrenderable."""
        options = {name: value for name, value in body.items() if name not in ("model", "messages", "tools")}
        return self._template.render(body["messages"], body.get("tools"), options, form)

    def pieces(self, text: str) -> list[str]:
        """Return the text cut before special tokens: the pieces' counts add up to the text's."""
        starts = [match.start() for match in self._cut.finditer(text)] if self._cut else []
        places = [0, *starts, len(text)]
        return [text[start:end] for start, end in pairwise(places) if start < end]

    def _encoded(self, pieces: list[str]) -> dict[str, int]:
        try:
            encodings: list[Any] = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError) as error:  # the library takes it for no text at all
            raise Unrenderable("a lone surrogate") from error
        counts = {piece: len(encoding) for piece, encoding in zip(pieces, encodings, strict=True)}
        with self._lock:
            self._chars += sum(len(piece) for piece in pieces if piece not in self._known)
            self._known |= counts
            while len(self._known) > MAX_PIECES or self._chars > MAX_CHARS:
                self._chars -= len(self._known.popitem(last=False)[0])
        return counts


def open_local(folder: Path) -> LocalTokens:
    """Read a model folder: ``tokenizer.json``, and the chat template where transformers keeps it.

    Raises:
        ConfigurationError: it has no such files, or they cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        size = path.stat().st_size
        tokenizer = Tokenizer.from_file(str(path)) if size <= MAX_TOKENIZER_BYTES else None
    except Exception as error:  # the library raises Exception itself
        raise ConfigurationError(f"{path} cannot be read: {short_line(str(error))}") from error
    if tokenizer is None:
        raise ConfigurationError(f"{path} is longer than {MAX_TOKENIZER_BYTES:,} bytes")
    return LocalTokens(tokenizer, open_template(folder))


def _cuts(added: Sequence[AddedToken], template: str) -> list[str]:
    """Return the tokens before which a prompt is cut: those of the template that match wherever they stand.

    A token does if it is found before normalisation, keeps the white space around it, and no other such token can
    overlap it. A token that must be a word of its own looks at its neighbours: with one of those there are no cuts.
    """
    raw: list[Any] = [token for token in added if not token.normalized]  # the stubs leave the flags out
    if any(token.single_word for token in raw):
        return []
    safe = [token.content for token in raw if not (token.lstrip or token.rstrip) and token.content in template]
    texts = [token.content for token in raw]
    return [cut for cut in safe if cut == cut.strip() and not any(_overlap(cut, text) for text in texts if text != cut)]


def _overlap(one: str, other: str) -> bool:
    """Return whether occurrences of the two can share characters."""
    if one in other or other in one:
        return True
    sizes = range(1, min(len(one), len(other)))
    return any(one[-n:] == other[:n] or other[-n:] == one[:n] for n in sizes)
