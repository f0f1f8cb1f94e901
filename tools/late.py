"""Late interaction: question and passage compared token by token, to order the best passages anew.

Each token of the question counts by the token of the window that is most like it (max-sim, as in ColBERT; Khattab and
Zaharia 2020), over the token vectors of the model that embeds. Windows are encoded when they are first compared and
kept, a bounded number of them: the vectors of all windows would take a hundred times the space of what is searched.
Blocking and thread-safe.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from infra.store.embeddings import TokenEmbedder

KEPT_WINDOWS = 512
"""Windows whose token vectors are kept, about 100 KB each."""


class LateInteraction:
    """Compares questions with windows; remembers windows."""

    def __init__(self, embedder: TokenEmbedder) -> None:
        """Compare by the token vectors of ``embedder``."""
        self._embedder = embedder
        self._lock = Lock()
        self._kept: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def gains(self, question: str, windows: Sequence[str]) -> list[float]:
        """Return how far each window's similarity to ``question`` lies above the average of all, in deviations.

        Args:
            question: what is asked.
            windows: what is compared, as it was embedded (header and words).
        """
        asked = self._embedder.embed_tokens([question])[0]
        found = np.array([_similarity(asked, tokens) for tokens in self._tokens(windows)])
        deviation = float(found.std()) if len(found) else 0.0
        return [float(gain) for gain in (found - found.mean()) / deviation] if deviation else [0.0] * len(found)

    def _tokens(self, windows: Sequence[str]) -> list[NDArray[np.float16]]:
        with self._lock:
            tokens = {text: self._kept[text] for text in windows if text in self._kept}
        missing = list(dict.fromkeys(text for text in windows if text not in tokens))
        vectors = self._embedder.embed_tokens(missing) if missing else []
        tokens |= {text: rows.astype(np.float16) for text, rows in zip(missing, vectors, strict=True)}
        with self._lock:
            for text, rows in tokens.items():
                self._kept[text] = rows
                self._kept.move_to_end(text)
            while len(self._kept) > KEPT_WINDOWS:
                self._kept.popitem(last=False)
        return [tokens[text] for text in windows]


def _similarity(asked: NDArray[np.float32], window: NDArray[np.float16]) -> float:
    """The mean over the question's tokens of their best cosine in the window; 0 where either has none."""
    if not len(asked) or not len(window):
        return 0.0
    return float((asked @ window.astype(np.float32).T).max(axis=1).mean())
