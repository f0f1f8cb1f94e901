"""What tests of the cache share: a tenant with two documents, and the warnings that were logged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from tests.infra.cache.house import CATS, DOGS, Tenant, quick


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    tenant.write("cats.md", CATS)
    tenant.write("dogs.md", DOGS)
    yield tenant
    tenant.close()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)
