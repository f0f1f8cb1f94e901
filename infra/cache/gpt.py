"""GPTCache's ``Cache`` with its ``get`` and ``put``, made safe; the only module that imports the package.

Its ``get`` asks a store for candidates and serves one that a judge accepts; ``put`` stores. What the package would do
by itself cannot happen (seen in 0.1.44): three of its modules are replaced before anything of it is imported.

- ``utils.dependency_control`` runs ``pip install`` through a shell wherever a package is missing. Ours raises.
- ``manager.factory`` unpickles ``data_map.txt`` of the working directory while ``gptcache`` is imported, since
  ``Cache.init`` builds a default data manager in its signature. Ours makes none.
- ``utils.log`` sets up the root logger of the process, and questions would be in its lines. Ours is silent.

``Cache.init`` is never called: it registers a handler at exit. The package's global cache is never given anything.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from numpy import float32
from numpy.typing import NDArray

from infra.errors import ConfigurationError

OURS = "Replaced by infra.cache.gpt."
Vector = NDArray[float32]
Ask = TypeVar("Ask")
Asked = TypeVar("Asked", contravariant=True)


def refuse_install(package: str, *_: object, **__: object) -> NoReturn:
    """Stand in for GPTCache's ``prompt_install``, which runs ``pip install``."""
    raise ConfigurationError(f"GPTCache wants to install {package}; DocMind installs nothing by itself")


def _refuse_factory(*_: object, **__: object) -> NoReturn:
    raise ConfigurationError("GPTCache wants to build a data manager of its own; DocMind gives it one")


def _no_manager(*_: object, **__: object) -> None:
    """Give no data manager: this is asked for the default value in the signature of ``Cache.init``."""


def _silent() -> logging.Logger:
    logger = logging.getLogger("gptcache")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _make_safe() -> None:
    """Replace what is unsafe; raises ConfigurationError where the package was imported without that."""
    replaced: dict[str, dict[str, object]] = {
        "gptcache.utils.dependency_control": {"prompt_install": refuse_install},
        "gptcache.manager.factory": {"get_data_manager": _no_manager, "manager_factory": _refuse_factory},
        "gptcache.utils.log": {"gptcache_log": _silent()},
    }
    for name, members in replaced.items():
        there = sys.modules.get(name)
        if there is None and "gptcache" not in sys.modules:
            sys.modules[name] = module = ModuleType(name, OURS)
            module.__dict__.update(members)
        elif there is None or there.__doc__ != OURS:
            raise ConfigurationError("gptcache was imported before infra.cache.gpt, which makes it safe")


_make_safe()

from gptcache import Cache, Config  # noqa: E402 - not before it is safe
from gptcache.adapter import api  # noqa: E402
from gptcache.manager.data_manager import DataManager  # noqa: E402
from gptcache.manager.scalar_data.base import CacheData  # noqa: E402
from gptcache.processor.post import first  # noqa: E402
from gptcache.processor.pre import get_prompt  # noqa: E402
from gptcache.similarity_evaluation import SimilarityEvaluation  # noqa: E402

ACCEPTED, REFUSED = 1.0, 0.0
BETWEEN = 0.5
NEVER = sys.maxsize


class Source(Protocol[Asked]):
    """Where answers are kept and who decides; each call is given what ``get`` or ``put`` was given as ``ask``."""

    def search(self, vector: Vector, ask: Asked) -> Iterable[tuple[float, str]]:
        """Score and key of candidates, best first; taken one by one, so that it may end early."""
        ...

    def load(self, key: str, ask: Asked) -> tuple[str, str] | None:
        """Question and answer of a candidate; None passes it over."""
        ...

    def judge(self, key: str, ask: Asked) -> bool:
        """Whether the candidate's answer may be served."""
        ...

    def save(self, question: str, answer: str, vector: Vector, ask: Asked) -> None:
        """Store an answer, in the place of the one there is."""
        ...


class _Saving(Generic[Ask]):
    """One ``put``: the package drops what goes wrong in it, so that is kept here."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.error: BaseException | None = None


class _Manager(DataManager, Generic[Ask]):
    """GPTCache's data manager over a ``Source``; sessions are not used."""

    def __init__(self, source: Source[Ask]) -> None:
        self._source = source

    def search(  # pyright: ignore[reportIncompatibleMethodOverride] - the package says None, and its docstring this
        self, embedding_data: Vector, **kwargs: Any
    ) -> Iterable[tuple[float, str]]:
        return self._source.search(embedding_data, kwargs["extra_param"])

    def get_scalar_data(  # pyright: ignore[reportIncompatibleMethodOverride] - the package's own ones give None, too
        self, res_data: tuple[float, str], **kwargs: Any
    ) -> CacheData | None:
        found = self._source.load(res_data[1], kwargs["extra_param"])
        return CacheData(question=found[0], answers=found[1]) if found else None

    def save(self, question: str, answer: str, embedding_data: Vector, **kwargs: Any) -> None:
        saving: _Saving[Ask] = kwargs["extra_param"]
        try:
            self._source.save(question, answer, embedding_data, saving.ask)
        except BaseException as error:
            saving.error = error
            raise

    def import_data(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    def add_session(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    def list_sessions(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    def delete_session(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    def close(self) -> None:
        """Close nothing: the source is closed by whoever opened it."""


class _Judge(SimilarityEvaluation, Generic[Ask]):
    """The gates as GPTCache's similarity: 1.0 is served, 0.0 is not."""

    def __init__(self, source: Source[Ask]) -> None:
        self._source = source

    def evaluation(self, src_dict: object, cache_dict: Mapping[str, Any], **kwargs: Any) -> float:  # noqa: ARG002
        accepted = self._source.judge(cache_dict["search_result"][1], kwargs["extra_param"])
        return ACCEPTED if accepted else REFUSED

    def range(self) -> tuple[float, float]:
        return REFUSED, ACCEPTED


_API: Any = api  # its keyword arguments have no types


def _always(*_: object, **__: object) -> bool:
    return True


def _embedding(embed: Callable[[str], Vector]) -> Callable[..., Vector]:
    """``embed`` as the package calls it."""

    def embedding(text: str, **_: object) -> Vector:
        return embed(text)

    return embedding


class GptCache(Generic[Ask]):
    """A cache of its own over a source; thread-safe as the source is."""

    def __init__(self, source: Source[Ask], embed: Callable[[str], Vector]) -> None:
        """Search in ``source`` with the vector that ``embed`` gives of a question."""
        self._cache = cache = Cache()
        # what ``Cache.init`` does, but for its handler at exit
        cache.has_init = True
        cache.cache_enable_func = _always
        cache.pre_embedding_func = get_prompt
        cache.embedding_func = _embedding(embed)
        cache.data_manager = _Manager(source)
        cache.similarity_evaluation = _Judge(source)
        cache.post_process_messages_func = first
        cache.config = Config(
            similarity_threshold=BETWEEN, auto_flush=NEVER, enable_token_counter=False, disable_report=True
        )

    def get(self, question: str, ask: Ask) -> str | None:
        """The answer that GPTCache serves for ``question``, or None."""
        steps = ("embedding_func", "search_func", "get_scalar_data", "evaluation_func")
        return _API.get(question, cache_obj=self._cache, cache_context=dict.fromkeys(steps, ask))

    def put(self, question: str, answer: str, ask: Ask) -> None:
        """Store an answer (not empty); whatever the source raises comes out."""
        saving = _Saving(ask)
        _API.put(question, answer, cache_obj=self._cache, cache_context={"save_func": saving})
        if saving.error is not None:
            raise saving.error
