"""GPTCache as it comes, to compare with: its ``Cache``, its SQLite and faiss stores, its evaluation and threshold.

Its ``api.get`` and ``api.put`` decide, over its own ``SSDataManager``. What is not stock: it is imported after
``infra.cache.gpt``, which keeps it from installing packages and from reading the working directory; it is bounded so
wide that nothing is evicted (its default forgets all but 1,000 questions, which would cost it hits); and it gets the
vectors of the same embedding model. Works in a folder of its own. Not thread-safe.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.cache.gpt import Vector
from infra.errors import ConfigurationError

# isort: split
from gptcache import Cache, Config, manager
from gptcache.adapter import api
from gptcache.manager.data_manager import SSDataManager
from gptcache.processor.post import temperature_softmax
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation import SimilarityEvaluation
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

from graph.bench.cache_trials import Reply

THRESHOLD = 0.8
"""GPTCache's default; of MiniLM's unit vectors it lets through what has a cosine of .6 or more."""

NEVER_FULL = 10_000_000
_API: Any = api  # no types
_STORES: Any = manager  # likewise


class _Noted(SimilarityEvaluation):
    """The default evaluation, noting what it says of the best candidate; a question's own entry may be refused."""

    def __init__(self, others_only: bool) -> None:
        self._default: Any = SearchDistanceEvaluation()
        self._others_only = others_only
        self.best: tuple[float, str] = (0.0, "")

    def evaluation(self, src_dict: dict[str, Any], cache_dict: dict[str, Any], **kwargs: Any) -> float:
        question = str(cache_dict["question"])
        if self._others_only and question == src_dict["question"]:
            return 0.0
        rank = float(self._default.evaluation(src_dict, cache_dict, **kwargs))
        self.best = max(self.best, (rank, question))
        return rank

    def range(self) -> tuple[float, float]:
        return self._default.range()


def _always(*_: object, **__: object) -> bool:
    return True


def _embedding(embed: Callable[[str], Vector]) -> Callable[..., Vector]:
    """``embed`` as the package calls it."""

    def embedding(text: str, **_: object) -> Vector:
        return embed(text)

    return embedding


class Stock:
    """Stock GPTCache, a faiss index a room.

    Args:
        folder: where its files go.
        embed: the vector of a question, L2-normalised.
        dimension: its length.
        others_only: never serve a question its own answer; two candidates are looked at then instead of one.

    Raises:
        ConfigurationError: faiss or SQLAlchemy is missing.
    """

    def __init__(
        self, folder: Path, embed: Callable[[str], Vector], dimension: int, *, others_only: bool = False
    ) -> None:
        self._new: Mapping[str, Any] = {
            "dimension": dimension,
            "index_path": str(folder / "faiss.index"),
            "top_k": 2 if others_only else 1,
        }
        self._rooms: dict[str, Any] = {}
        self._noted = _Noted(others_only)
        self._manager = self._opened(folder)
        self._cache = cache = Cache()
        # what `Cache.init` does, but for its handler at exit, which would write into a folder that is gone
        cache.has_init = True
        cache.cache_enable_func = _always
        cache.pre_embedding_func = get_prompt
        cache.embedding_func = _embedding(embed)
        cache.data_manager = self._manager
        cache.similarity_evaluation = self._noted
        cache.post_process_messages_func = temperature_softmax
        cache.config = Config(similarity_threshold=THRESHOLD, enable_token_counter=False)

    def put(self, room: str, question: str) -> bool:
        """Keep the question as its own answer, so that what is served can be told."""
        self._enter(room)
        before = self._manager.v.count()
        _API.put(question, question, cache_obj=self._cache)
        return self._manager.v.count() == before + 1

    def get(self, room: str, question: str) -> Reply:
        """Ask; the score is what the evaluation said of the nearest question, 0 to 4."""
        self._enter(room)
        self._noted.best = (0.0, "")
        served = _API.get(question, cache_obj=self._cache)
        score, nearest = self._noted.best
        return Reply(served is not None, served or nearest, score)

    def close(self) -> None:
        """Let go of the files; the package's own ``close`` leaves the database open."""
        self._manager.s.Session.kw["bind"].dispose()

    def _enter(self, room: str) -> None:
        if room not in self._rooms:
            self._rooms[room] = _STORES.VectorBase("faiss", **self._new)
        self._manager.v = self._rooms[room]

    def _opened(self, folder: Path) -> Any:  # noqa: ANN401 - the package's types are partial
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # SQLAlchemy's, about the package's use of it
                scalars = _STORES.CacheBase("sqlite", sql_url=f"sqlite:///{folder / 'sqlite.db'}")
                vectors = _STORES.VectorBase("faiss", **self._new)
        except (ImportError, ConfigurationError) as error:
            raise ConfigurationError(
                "stock GPTCache needs faiss-cpu and SQLAlchemy: pip install 'docmind[bench]', or leave it out with "
                "--no-stock"
            ) from error
        return SSDataManager(scalars, vectors, None, None, NEVER_FULL, NEVER_FULL // 5)
