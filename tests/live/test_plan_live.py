"""The plan beside the real vLLM: the specs it computes for families of models, and the cache of a running server."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.vllm.layouts import Serving, lay_out, token_bytes
from infra.vllm.models import model

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
RECORDED = json.loads((HERE.parent / "recorded" / "vllm_kv_specs.json").read_text(encoding="utf-8"))
MEMORY_BYTES = 64 << 20
"""What serve.sh gives the KV cache."""

CASES = {
    "dsv3:auto": "compressed attention (MLA)",
    "gemma3:fp8": "five sliding layers to a full one",
    "gptoss:auto": "sliding and full in turn, experts",
    "llama4:auto": "chunked attention",
    "qwen3next:auto": "linear attention and full, experts",
    "nemotronh:fp8": "Mamba 2, full, and layers with neither",
    "jamba:auto": "Mamba 1 and full",
    "qwen3moe:fp8": "experts",
    "fp8kv:auto": "a checkpoint that asks for an FP8 cache",
}


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Let vLLM compute the specs of all cases, in its own environment."""
    home = _vllm_dir()
    folder = tmp_path_factory.mktemp("models")
    for name in {case.split(":")[0] for case in CASES}:
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(RECORDED["models"][name]), encoding="utf-8")
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [home / "venv" / "bin" / "python", HERE / "kv_specs.py", *(str(folder / case) for case in CASES)],
        env=os.environ | quiet | {"VLLM_CACHE_ROOT": str(home / "cache"), "VLLM_CPU_KVCACHE_SPACE": "1"},
        capture_output=True,
        text=True,
        timeout=450,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {f"{one['folder']}:{one['kv_dtype']}": one | {"path": str(folder / one["folder"])} for one in found}


@pytest.mark.parametrize("case", CASES, ids=[f"{case} ({what})" for case, what in CASES.items()])
def test_a_request_takes_what_vllm_computes_to_the_byte(computed: dict[str, dict[str, Any]], case: str) -> None:
    told = computed[case]
    layout = lay_out(model(told["path"]), Serving(told["kv_dtype"], block_tokens=told["block_tokens"]))
    ours = {length: layout.request_bytes(int(length), told["in_flight"]) for length in told["requests"]}
    assert (layout.block_bytes, ours) == (told["block_bytes"], told["requests"])
    assert told["requests"] == RECORDED["specs"][case]["requests"], "the recorded figures are of another vLLM"


def test_the_tiny_models_cache_is_what_the_running_server_reports(live_url: str) -> None:
    labels = _cache_config(live_url)
    facts = model(str(_vllm_dir() / "tiny"))
    layout = lay_out(facts, Serving(block_tokens=int(labels["block_size"])))

    blocks = int(labels["num_gpu_blocks"])
    assert blocks == MEMORY_BYTES // layout.block_bytes
    assert blocks * int(labels["block_size"]) * token_bytes(facts, "auto") == blocks * layout.block_bytes
    if told := labels.get("kv_cache_size_tokens"):
        assert int(float(told)) == int(layout.concurrent(MEMORY_BYTES, 4_096, 0) * 4_096)


def _vllm_dir() -> Path:
    folder = os.environ.get("VLLM_DIR")
    if not folder:
        pytest.fail("no vLLM: run `make live VLLM_DIR=/path/to/folder`")
    return Path(folder)


def _cache_config(url: str) -> dict[str, str]:
    text = httpx2.get(url.removesuffix("/v1") + "/metrics", timeout=10).text
    line = next(line for line in text.splitlines() if line.startswith("vllm:cache_config_info{"))
    return dict(re.findall(r'(\w+)="([^"]*)"', line))
