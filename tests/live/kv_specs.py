"""What the real vLLM computes for models that are configurations only: runs in the model server's own environment.

``python kv_specs.py FOLDER[:KV_DTYPE]...``: each folder holds a config.json and no weights. vLLM builds the model's
layers on the CPU, groups their KV-cache specs and says what requests of some lengths take. One JSON object a line.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import destroy_model_parallel, ensure_model_parallel_initialized, init_distributed_environment
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.platforms import current_platform
from vllm.v1.core import kv_cache_utils
from vllm.v1.core.kv_cache_utils import get_kv_cache_groups
from vllm.v1.kv_cache_interface import iter_layer_specs
from vllm.v1.worker.gpu.attn_utils import get_kv_cache_spec

LENGTHS = (1, 1_000, 4_096)

torch.cpu._is_avx512_bf16_supported = lambda: False  # or vLLM widens states on CPUs that have it, and on no GPU


def settings(folder, kv_dtype):
    """Return vLLM's configuration for the folder, weights and tokenizer left out."""
    arguments = EngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        load_format="dummy",
        max_model_len=max(LENGTHS),
        kv_cache_dtype=kv_dtype,
        enforce_eager=True,
    )
    return arguments.create_engine_config()


def measure(folder, kv_dtype):
    """Return what vLLM computes: its block size, its tables, and the bytes of requests."""
    config = settings(folder, kv_dtype)
    plain_block = config.cache_config.block_size
    with set_current_vllm_config(config):
        destroy_model_parallel()  # whether experts are shared out is decided anew for each model
        ensure_model_parallel_initialized(1, 1)
        torch.set_default_dtype(config.model_config.dtype)
        initialize_model(config)
        current_platform.update_block_size_for_backend(config)
        specs = get_kv_cache_spec(config)
        config.cache_config.kv_cache_layout = "LBHNC"
        groups = get_kv_cache_groups(config, specs)
        requests = {}
        for length in LENGTHS:
            config.model_config.max_model_len = length
            requests[length] = kv_cache_utils._max_memory_usage_bytes_from_groups(config, groups)
        return {
            "folder": folder.name,
            "kv_dtype": kv_dtype,
            "block_tokens": plain_block,
            "in_flight": config.max_in_flight_tokens,
            "max_model_len": config.model_config.max_model_len,
            "block_bytes": kv_cache_utils._pool_bytes_per_block(config, groups),
            "tables": [
                [type(next(iter(iter_layer_specs(g.kv_cache_spec)))).__name__, len(g.layer_names)] for g in groups
            ],
            "requests": requests,
        }


def main():
    """Measure every folder with a KV cache of the model's type and of FP8."""
    with tempfile.TemporaryDirectory() as scratch:
        init_distributed_environment(1, 0, f"file://{scratch}/rendezvous", 0, "gloo")
        for name in sys.argv[1:]:
            folder, _, kv_dtype = name.partition(":")
            sys.stdout.write(json.dumps(measure(Path(folder), kv_dtype or "auto")) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
