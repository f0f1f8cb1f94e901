"""What to write instead of options and variables of vLLM that are gone, or that people write though they never were.

Which version dropped an option follows from the option lists (`infra.vllm.options.gone`); here stand only the words.
Sources: vLLM's release notes and the option lists themselves; what ``NEVER`` names is in no list from 0.10 on.
"""

from collections.abc import Mapping
from types import MappingProxyType

NEVER = frozenset({"--max-num-prefills", "--kv-cache-type"})
"""Written in circulation, in no version known."""

_QUIET = "leave it out: requests are logged only with --enable-log-requests"
_GUIDED = "structured output is set with --structured-outputs-config"
_GRAPHS = "the nearest is --max-cudagraph-capture-size, which counts requests, not tokens"
_SPECULATIVE = "write --speculative-config '{...}'"

REPLACED: Mapping[str, str] = MappingProxyType(
    {
        "--swap-space": "vLLM swaps nothing any more; --kv-offloading-size N keeps N GiB of KV cache in main memory",
        "--preemption-mode": "leave it out: a request that is preempted is computed again",
        "--num-scheduler-steps": "leave it out: --async-scheduling does its work, on by default on GPUs",
        "--multi-step-stream-outputs": "leave it out: there are no multi-step outputs any more",
        "--max-num-prefills": "--max-num-batched-tokens decides how much of the prompts one step takes",
        "--max-seq-len-to-capture": _GRAPHS,
        "--max-context-len-to-capture": _GRAPHS,
        "--calculate-kv-scales": "leave it out: scales come from the checkpoint, or are 1.0",
        "--rope-scaling": "write --hf-overrides '{\"rope_parameters\": {...}}', or load a checkpoint that states it",
        "--rope-theta": "write --hf-overrides '{\"rope_parameters\": {...}}'",
        "--kv-cache-type": "write --kv-cache-dtype",
        "--guided-decoding-backend": _GUIDED,
        "--guided-decoding-disable-fallback": _GUIDED,
        "--guided-decoding-disable-any-whitespace": _GUIDED,
        "--guided-decoding-disable-additional-properties": _GUIDED,
        "--enable-reasoning": "--reasoning-parser NAME alone switches it on",
        "--speculative-model": _SPECULATIVE,
        "--num-speculative-tokens": _SPECULATIVE,
        "--use-v2-block-manager": "leave it out: there is one block manager",
        "--worker-use-ray": "write --distributed-executor-backend ray",
        "--engine-use-ray": "leave it out",
        "--device": "leave it out: vLLM takes the device it was built for",
        "--task": "write --runner and --convert",
        "--disable-log-requests": _QUIET,
        "--num-lookahead-slots": "leave it out",
        "--scheduler-delay-factor": "leave it out",
        "--enable-prompt-adapter": "leave it out: there are no prompt adapters any more",
        "--disable-async-output-proc": "leave it out",
        "--disable-frontend-multiprocessing": "leave it out",
        "--override-neuron-config": "leave it out",
        "--cuda-graph-sizes": "write --cudagraph-capture-sizes",
        "VLLM_USE_V1": "leave it out: there is only V1",
        "VLLM_ATTENTION_BACKEND": "write --attention-backend NAME",
        "VLLM_USE_CUDNN_PREFILL": "leave it out: --attention-backend and --attention-config decide",
        "VLLM_USE_TRITON_FLASH_ATTN": "write --attention-backend NAME",
        "VLLM_FLASH_ATTN_VERSION": "write --attention-config.flash_attn_version N",
    }
)
