"""A real vLLM server with a tiny random model: the one at DOCMIND_LIVE_URL, else one of our own from VLLM_DIR."""

import os
from collections.abc import Iterator

import pytest

from tests.live.server import served


@pytest.fixture(scope="session")
def live_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of the server, ending in ``/v1``; a server we started is stopped at the end."""
    if given := os.environ.get("DOCMIND_LIVE_URL"):
        yield given
        return
    with served(tmp_path_factory.mktemp("vllm") / "server.log") as server:
        yield server.url
