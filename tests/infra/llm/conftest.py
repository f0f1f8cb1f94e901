"""What holds for tests of model calls: what is quick in earnest has its time, whatever else the machine does."""

import pytest

from infra.llm import backends
from infra.llm.counting import rendering


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "AUTO_SECONDS", 60.0)
    monkeypatch.setattr(backends, "LATE_SECONDS", 60.0)
    monkeypatch.setattr(rendering, "RENDER_SECONDS", 60.0)
