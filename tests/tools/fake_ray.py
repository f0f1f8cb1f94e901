"""Ray as far as we know it, in this process: blocks are done one after the other, values are pickled on the way."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

Row = Mapping[str, Any]


class FakeRay(ModuleType):
    """A cluster with four processors.

    Attributes:
        calls: what was asked of it, in order.
        variables: the environment it was started in.
        options: what the last ``map_batches`` was asked for, with the sizes of the blocks.
        before_block: called with the number of each block before it is done; may raise.
        free: processors that are free.
    """

    def __init__(self) -> None:
        super().__init__("ray")
        self.__spec__ = ModuleSpec("ray", None)
        self.calls: list[Any] = []
        self.variables: dict[str, str] = {}
        self.options: dict[str, Any] = {}
        self.before_block: Callable[[int], None] = lambda _: None
        self.blocks = 0
        self.free = 4
        self.context = SimpleNamespace()

    def init(self, **options: Any) -> None:
        self.variables = dict(os.environ)
        self.calls.append(options)

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def available_resources(self) -> dict[str, float]:
        return {"CPU": float(self.free)} if self.free else {}

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    def from_items(self, items: Sequence[Row], *, override_num_blocks: int) -> "FakeData":
        return FakeData(self, np.array_split(np.array(items, dtype=object), override_num_blocks))


class FakeData:
    """Rows in blocks, and what is to be done with them."""

    def __init__(self, ray: FakeRay, blocks: Sequence[Any]) -> None:
        self._ray = ray
        self._blocks = blocks
        self._worker: Any = None

    def map_batches(self, worker: type, **options: Any) -> "FakeData":
        self._ray.options = options | {"blocks": [len(block) for block in self._blocks]}
        self._worker = worker(*pickle.loads(pickle.dumps(options["fn_constructor_args"])))
        return self

    def iter_rows(self) -> Iterator[Row]:
        for block in self._blocks:
            self._ray.blocks += 1
            self._ray.before_block(self._ray.blocks)
            names = block[0].keys()
            columns = {name: np.array([row[name] for row in block], dtype=object) for name in names}
            for given in self._worker(pickle.loads(pickle.dumps(columns))):
                (name,) = given
                yield from ({name: value} for value in pickle.loads(pickle.dumps(given[name])))


def installed(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Put the fake, and what it needs, in the place of what is installed."""
    ray = FakeRay()
    data: Any = ModuleType("ray.data")
    data.from_items = ray.from_items
    data.ActorPoolStrategy = lambda *, size: size
    data.DataContext = SimpleNamespace(get_current=lambda: ray.context)
    ray.__dict__["data"] = data
    for name in ("pyarrow", "pandas"):
        other = ModuleType(name)
        other.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, other)
    for name, module in {"ray": ray, "ray.data": data, "ray._private.worker": ModuleType("worker")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return ray
