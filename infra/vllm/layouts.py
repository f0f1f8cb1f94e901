"""The KV cache of one GPU in bytes, laid out as vLLM 0.32 lays it out. Pure arithmetic.

vLLM keeps the layers' keys and values in blocks of some tokens. Layers that forget alike share a block table. Where a
model has several kinds, its layers are split into tables of equally many layers, all tables draw from one pool of
blocks of one size, and smaller pages are made as large as the largest. A request takes whole blocks from every table.
Source: ``vllm/v1/kv_cache_interface.py`` and ``vllm/v1/core/kv_cache_utils.py``; tests/live/test_plan_live.py compares.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from infra.errors import ConfigurationError
from infra.vllm.facts import LayerGroup, LayerKind, ModelFacts
from infra.vllm.states import BYTES

BLOCK_TOKENS = 16
"""vLLM's default block on a GPU."""

MLA_ALIGNMENT = 128
"""Tokens of which the block of a model with both compressed attention and states is a multiple."""

_RUNNING_STATES = 2
"""States a sequence where prefixes are cached: the one read and the one written (mode ``align``)."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is served, as far as the layout depends on it.

    Attributes:
        kv_dtype: value of ``--kv-cache-dtype``.
        tensor_parallel: GPUs that share each layer.
        pipeline_parallel: groups of GPUs that share the layers.
        block_tokens: tokens of a block, before it is made to fit a model's states.
        prefix_caching: whether prefixes are cached (vLLM's default).
    """

    kv_dtype: str = "auto"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    block_tokens: int = BLOCK_TOKENS
    prefix_caching: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """What one layer keeps in one block: ``page_bytes`` for ``tokens`` tokens, or one state whatever the length."""

    kind: LayerKind
    layers: int
    tokens: int
    page_bytes: int
    window: int | None = None
    states: int = 0
    shape: tuple[int, int, int] = (0, 0, 0)

    def blocks(self, length: int, in_flight: int) -> int:
        """Return the blocks that a request of ``length`` tokens holds, ``in_flight`` of them not yet settled."""
        if self.kind in ("mamba", "linear"):
            return self.states
        if self.window is None:
            return _up(length, self.tokens)
        if self.kind == "chunked":
            return _up(min(self.window + in_flight, length), self.tokens)
        return _up(min(self.window - 1 + in_flight, length), self.tokens) + 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The pool of one GPU.

    Attributes:
        tables: a page of each block table; ``layers`` says how many layers the table has.
        block_bytes: size of a block of the pool.
    """

    tables: tuple[Page, ...]
    block_bytes: int

    def request_bytes(self, length: int, in_flight: int) -> int:
        """Return what one request of ``length`` tokens takes of the pool."""
        return self.block_bytes * sum(page.blocks(length, in_flight) for page in self.tables)

    def longest(self, available: int, limit: int, in_flight: int) -> int:
        """Return the longest request that ``available`` bytes hold, ``limit`` at most; 0 if not even one token fits."""
        low, high = 0, limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.request_bytes(middle, in_flight) <= available:
                low = middle
            else:
                high = middle - 1
        return low

    def concurrent(self, available: int, length: int, in_flight: int) -> float:
        """Return how many requests of ``length`` tokens fit at once, as vLLM prints it at start-up."""
        blocks = sum(page.blocks(length, in_flight) for page in self.tables)
        return available // self.block_bytes / blocks if blocks else float("inf")


def element_bytes(kv_dtype: str, model: ModelFacts) -> int:
    """Return the bytes of one element of the KV cache; ``auto`` is the checkpoint's word, else the model's type."""
    chosen = (model.kv_dtype or model.dtype) if kv_dtype == "auto" else kv_dtype
    return 1 if chosen.startswith("fp8") else BYTES.get(chosen, 2)


def token_bytes(model: ModelFacts, kv_dtype: str, tensor_parallel: int = 1) -> int:
    """Return the bytes that each further token of a long request takes, over all GPUs and without rounding to blocks.

    Layers that hold a window or a state only take nothing more. Heads that the GPUs cannot share out are held by each.
    """
    groups = [group for group in model.groups if group.kind in ("full", "mla")]
    each = sum(group.layers * token_elements(group, tensor_parallel) for group in groups)
    return each * element_bytes(kv_dtype, model)


def lay_out(model: ModelFacts, serving: Serving) -> Layout:
    """Return how one GPU (of the fullest pipeline stage) keeps the model's KV cache.

    Raises:
        ConfigurationError: the layers' pages cannot be made equal, so vLLM would refuse the model as well.
    """
    pages = [_page(group, model, serving) for group in model.groups]
    if not pages:
        raise ConfigurationError(f"{model.name} has no layers with a memory; is it a language model's?")
    pages = _with_states(pages, serving)
    if _one_table(pages):
        return Layout(
            (replace(pages[0], layers=sum(p.layers for p in pages)),), sum(p.layers * p.page_bytes for p in pages)
        )
    tables = tuple(_split(_level(pages, model)))
    return Layout(tables, max(table.layers * table.page_bytes for table in tables))


def token_elements(group: LayerGroup, tensor_parallel: int) -> int:
    """Return the elements of one token in one layer over all GPUs."""
    return tensor_parallel * _heads(group, tensor_parallel) * (group.head_dim_k + group.head_dim_v)


def _heads(group: LayerGroup, tensor_parallel: int) -> int:
    """Return the heads that one GPU holds: its share, one at least; the compressed vector of MLA is held whole."""
    return 1 if group.kind == "mla" else max(1, group.kv_heads // tensor_parallel)


def _page(group: LayerGroup, model: ModelFacts, serving: Serving) -> Page:
    layers = _up(group.layers, serving.pipeline_parallel)
    if group.state_bytes:
        states = _RUNNING_STATES + group.checkpoints if serving.prefix_caching else 1
        state = _up(group.state_bytes, serving.tensor_parallel)
        return Page(group.kind, layers, 1, state, states=states, shape=(group.checkpoints, 0, 0))
    heads = _heads(group, serving.tensor_parallel)
    width = group.head_dim_k + group.head_dim_v
    page = serving.block_tokens * heads * width * element_bytes(serving.kv_dtype, model)
    shape = (heads, group.head_dim_k, group.head_dim_v)
    return Page(group.kind, layers, serving.block_tokens, page, group.window, shape=shape)


def _with_states(pages: list[Page], serving: Serving) -> list[Page]:
    """Make the block so long that an attention page is at least a state, and pad the states to it."""
    states = [page for page in pages if page.states]
    attention = [page for page in pages if not page.states]
    if not states:
        return pages
    if not attention:  # no prefix is cached then, and the one block holds the one state
        return [replace(page, states=1) for page in states]
    whole = next((page for page in attention if page.window is None), attention[0])
    token = whole.page_bytes // whole.tokens
    step = max(serving.block_tokens, MLA_ALIGNMENT if any(p.kind == "mla" for p in attention) else 0)
    block = step * _up(max(page.page_bytes for page in states), step * token)
    longer = [replace(p, tokens=block, page_bytes=p.page_bytes // p.tokens * block) for p in attention]
    return longer + [replace(page, page_bytes=block * token) for page in states]


def _one_table(pages: list[Page]) -> bool:
    """Whether all layers always need the same tokens, so that one table serves them all."""
    return len({(page.kind, page.window, page.tokens) for page in pages}) == 1 and (
        not pages[0].states or len({page.page_bytes for page in pages}) == 1
    )


def _level(pages: list[Page], model: ModelFacts) -> list[Page]:
    """Make all pages as large as the largest: by more tokens a block where that divides, else by padding."""
    largest = max(page.page_bytes for page in pages)
    level: list[Page] = []
    for page in pages:
        if page.page_bytes == largest or page.states:
            level.append(replace(page, page_bytes=largest))
        elif largest % page.page_bytes == 0:
            level.append(replace(page, tokens=page.tokens * (largest // page.page_bytes), page_bytes=largest))
        elif page.kind != "mla":
            level.append(replace(page, page_bytes=largest))
        else:
            raise ConfigurationError(
                f"{model.name}: vLLM cannot lay out its compressed attention beside its other layers"
            )
    return level


def _split(pages: Iterable[Page]) -> Iterable[Page]:
    """Split the layers of each kind into tables of about as many layers."""
    alike: dict[Page, int] = defaultdict(int)
    for page in pages:
        alike[replace(page, layers=0)] += page.layers
    fewest, most = min(alike.values()), max(alike.values())
    size = most if most < fewest * 1.5 else fewest
    for page, layers in alike.items():
        tables = _up(layers, size)
        for index in range(tables):
            yield replace(page, layers=len(range(index, layers, tables)))


def _up(amount: int, step: int) -> int:
    return -(-amount // step)
