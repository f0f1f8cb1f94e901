"""Which subcommands the kit has, and where each lives."""

from infra.doors import Door

DOORS = {
    "plan": Door("infra.vllm.plan_show", "Say what of a model, a context and a KV cache fits on a GPU. Predicted."),
    "args": Door("infra.vllm.args", "Print the `vllm serve` command for the same, or why there is none."),
    "units": Door("infra.vllm.units", "Write systemd, Compose and Docker files for the same."),
    "serve": Door("infra.vllm.serve", "Start vLLM with these arguments, and say what went wrong if it does not."),
    "doctor": Door("infra.vllm.doctor", "Check a running server against the settings."),
    "top": Door("infra.vllm.top", "Watch a running server: memory, speed, cache, queue."),
}
"""The kit's subcommands; `graph.cli` shows them as its own."""
