"""The plan on a real card: `make gpu NAME=model`, for those who have one, with the `vllm` on their PATH."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from infra.vllm.facts import KvDtype, Wanted
from infra.vllm.gpus import here
from infra.vllm.layouts import lay_out
from infra.vllm.models import model
from infra.vllm.plan import plan, serving
from tests.live.server import _await_health, _free_port

pytestmark = pytest.mark.gpu

CONTEXT = 8_192


@pytest.mark.parametrize("kv_dtype", ["auto", "fp8"])
def test_the_space_for_the_cache_is_met_within_five_percent_of_the_card(tmp_path: Path, kv_dtype: KvDtype) -> None:
    name, program = os.environ.get("DOCMIND_GPU_MODEL"), shutil.which("vllm")
    if not name or not program:
        pytest.fail("run `make gpu NAME=model`, a model whose files are here, with `vllm` on the PATH")
    facts, card = model(name), here(None)
    wish = Wanted(name, context=CONTEXT, kv_cache_dtype=kv_dtype, utilization=0.85, sequences=8, batched_tokens=2_048)
    found = plan(facts, card, wish)

    labels = _served(program, wish, tmp_path / "server.log")

    layout = lay_out(facts, serving(wish, kv_dtype))
    block_bytes = layout.block_bytes * int(labels["block_size"]) // layout.tables[0].tokens
    taken = int(labels["num_gpu_blocks"]) * block_bytes
    assert abs(taken - found.available_bytes) <= 0.05 * card.vram_bytes


def _served(program: str, wish: Wanted, log: Path) -> dict[str, str]:
    """Start vLLM as it is wished for and return what its metrics say of the KV cache."""
    port = _free_port()
    options = {
        "--host": "127.0.0.1",
        "--port": port,
        "--max-model-len": wish.context,
        "--kv-cache-dtype": wish.kv_cache_dtype,
        "--gpu-memory-utilization": wish.utilization,
        "--max-num-seqs": wish.sequences,
        "--max-num-batched-tokens": wish.batched_tokens,
    }
    words = [str(word) for option in options.items() for word in option]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [program, "serve", wish.model, *words],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        _await_health(f"http://127.0.0.1:{port}/health", server, log)
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    finally:
        server.terminate()
        server.wait(timeout=60)
    line = next(line for line in text.splitlines() if line.startswith("vllm:cache_config_info{"))
    return dict(re.findall(r'(\w+)="([^"]*)"', line))
