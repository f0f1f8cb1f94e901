"""What of a composed command cannot work, before it is launched: one line each, who, what and which setting.

Gives `conflicts`, which looks at the options as they will be given, a person's own among them, and at what is known of
the model, the GPU and the machine; what is not known is not guessed. `warned` says what works and deserves a second
look. Pure. Each rule names where vLLM has it; numbers of lines are not given, because they move.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address

from infra.vllm.compose import FP8_KV, NO_KEYS, Composed, Subject
from infra.vllm.facts import GIB
from infra.vllm.quantization import LEAST_CAPABILITY, brings_fp8_scales
from infra.vllm.words import size

_SAME = (
    frozenset({"awq", "awq_marlin", "auto_awq", "marlin"}),
    frozenset({"gptq", "gptq_marlin", "auto_gptq", "marlin"}),
    frozenset({"modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed"}),
    frozenset({"mxfp4", "gpt_oss_mxfp4"}),
)
"""Names of one quantization method: ``override_quantization_method`` of each in vLLM's quantization layers."""

_STORED = frozenset[str]().union(*_SAME) | {"compressed-tensors", "quark", "moe_wna16"}
"""Methods that only a checkpoint can bring; the others quantize plain weights while they are loaded."""

_NO_FP8_KV = frozenset({"FLASH_ATTN", "FLASH_ATTN_VLLM_V1", "XFORMERS", "TORCH_SDPA", "FLEX_ATTENTION"})
_HOPPER = (9, 0)
_FP8_TRITON = (8, 9)

Rule = Callable[[Subject, Composed], Iterator[str]]


def conflicts(subject: Subject, composed: Composed) -> tuple[str, ...]:
    """Return one line for each reason why the command cannot work; none where none is known."""
    return tuple(line for rule in _RULES for line in rule(subject, composed))


def warned(subject: Subject, composed: Composed) -> tuple[str, ...]:
    """Return one line for each thing that works but deserves a second look."""
    return tuple(line for rule in _WARNINGS for line in rule(subject, composed))


def _kv_cache(subject: Subject, composed: Composed) -> Iterator[str]:
    kv, model, gpu = composed.value("--kv-cache-dtype") or "auto", subject.model, subject.gpu
    if kv == "fp8_e5m2" and model is not None and brings_fp8_scales(model.quantization, model.kv_dtype):
        yield (
            f"--kv-cache-dtype fp8_e5m2: vLLM refuses it with an FP8 checkpoint, and {subject.wanted.model} is one"
            f" ({model.quantization}); fp8 (= fp8_e4m3) works"
        )
    if kv == "auto" and model is not None and model.kv_dtype:
        kv = model.kv_dtype  # the checkpoint's word
    if gpu is not None and kv not in gpu.kv_types and kv in (*FP8_KV, "bfloat16", "float16"):
        known = ", ".join(sorted(gpu.kv_types))
        yield f"--kv-cache-dtype {kv}: {gpu.name} (capability {_dotted(gpu.capability)}) runs {known}"


def _backend(subject: Subject, composed: Composed) -> Iterator[str]:
    """FP8 KV by backend and capability: ``validate_configuration`` of vLLM's attention backends."""
    kv, gpu = composed.value("--kv-cache-dtype") or "auto", subject.gpu
    backend = _backend_of(composed)
    if gpu is None or kv not in FP8_KV or not backend:
        return
    flash = backend in _NO_FP8_KV and (gpu.capability < _HOPPER or kv == "fp8_e5m2" or gpu.capability >= (10, 0))
    if flash or (backend == "TRITON_ATTN" and gpu.capability < _FP8_TRITON):
        yield (
            f"attention backend {backend}: it reads no {kv} KV cache on {gpu.name} (capability"
            f" {_dotted(gpu.capability)}); FLASHINFER does"
        )


def _quantization(subject: Subject, composed: Composed) -> Iterator[str]:
    """``ModelConfig._verify_quantization``: a method given must be the checkpoint's."""
    asked, stated = composed.value("--quantization"), subject.model.quantization if subject.model else None
    least = LEAST_CAPABILITY.get(stated or asked, (0, 0))
    if subject.gpu is not None and subject.gpu.capability < least:
        yield (
            f"--model {subject.wanted.model}: {stated or asked} weights need compute capability {_dotted(least)},"
            f" {subject.gpu.name} has {_dotted(subject.gpu.capability)}"
        )
    if subject.model is None or not asked or asked in (stated, "humming", "inc"):
        return
    if stated is None and asked in _STORED:
        yield f"--quantization {asked}: {subject.wanted.model} is not quantized; leave the option out"
    if stated is not None and not any({asked, stated} <= same for same in _SAME):
        yield f"--quantization {asked}: {subject.wanted.model} is quantized with {stated}; leave the option out"


def _context(subject: Subject, composed: Composed) -> Iterator[str]:
    asked = size(composed.value("--max-model-len"))
    model = subject.model
    if asked is None or model is None or composed.environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1":
        return
    if any(
        each.key == "--hf-overrides" for each in composed.given
    ):  # such as YaRN: the files' limit is not the model's
        return
    if asked > model.max_context > 0:
        yield (
            f"--max-model-len {asked}: {subject.wanted.model} takes {model.max_context:,} tokens; set"
            f" DOCMIND_VLLM__CONTEXT_WINDOW or --context to at most that"
        )


def _batch(_: Subject, composed: Composed) -> Iterator[str]:
    """``SchedulerConfig.verify_max_model_len``."""
    tokens, requests = size(composed.value("--max-num-batched-tokens")), size(composed.value("--max-num-seqs"))
    context = size(composed.value("--max-model-len"))
    if tokens is not None and requests is not None and tokens < requests:
        yield (
            f"--max-num-batched-tokens {tokens}: fewer than the {requests} requests at once; raise it, or lower"
            " --max-num-seqs (DOCMIND_SERVE__MAX_NUM_BATCHED_TOKENS, DOCMIND_SERVE__MAX_NUM_SEQS)"
        )
    chunked = not any(each.key == "--enable-chunked-prefill" and each.name != each.key for each in composed.given)
    if not chunked and tokens is not None and context is not None and tokens < context:
        yield f"--max-num-batched-tokens {tokens}: without chunked prefill one step must hold {context:,} tokens"


def _memory(subject: Subject, composed: Composed) -> Iterator[str]:
    part = composed.value("--gpu-memory-utilization")
    if part and not 0 < float(part) <= 1:
        yield f"--gpu-memory-utilization {part}: a part of the GPU's memory is above 0 and at most 1"
    gib, ram = composed.value("--kv-offloading-size"), subject.machine.ram_bytes if subject.machine else 0
    if gib and ram and float(gib) * GIB > ram:
        yield (
            f"--kv-offloading-size {gib}: {gib} GiB of KV cache do not fit in the {ram / GIB:.1f} GiB of main memory"
            " here (DOCMIND_SERVE__KV_OFFLOADING_SIZE; --ram-gib names another machine's)"
        )


def _parallel(subject: Subject, composed: Composed) -> Iterator[str]:
    tensor, pipeline = (size(composed.value(f"--{kind}-parallel-size") or "1") or 0 for kind in ("tensor", "pipeline"))
    model, gpu = subject.model, subject.gpu
    if min(tensor, pipeline) < 1:
        yield "--tensor-parallel-size and --pipeline-parallel-size are 1 or more"
        return
    if gpu is not None and tensor * pipeline > gpu.count:
        yield (
            f"--tensor-parallel-size {tensor} x --pipeline-parallel-size {pipeline}: {tensor * pipeline} GPUs needed,"
            f" there {'is 1' if gpu.count == 1 else f'are {gpu.count}'} ({gpu.name}); --gpu NAMExN plans for more"
        )
    if model is None:
        return
    if model.heads % tensor:
        yield f"--tensor-parallel-size {tensor}: it does not divide the {model.heads} attention heads of {model.name}"
        return
    uneven = sorted(
        {g.kv_heads for g in model.groups if g.kv_heads > 1 and g.kv_heads % tensor and tensor % g.kv_heads}
    )
    if uneven:
        yield f"--tensor-parallel-size {tensor}: the {uneven[0]} key-value heads of {model.name} do not share evenly"
    if pipeline > model.layers:
        yield f"--pipeline-parallel-size {pipeline}: {model.name} has {model.layers} layers"


def _named_parsers(subject: Subject, composed: Composed) -> Iterator[str]:
    kinds = (
        ("--tool-call-parser", subject.options.tool_call_parsers, "DOCMIND_SERVE__TOOL_CALL_PARSER"),
        ("--reasoning-parser", subject.options.reasoning_parsers, "DOCMIND_SERVE__REASONING_PARSER"),
    )
    plugin = composed.value("--tool-parser-plugin") or composed.value("--reasoning-parser-plugin")
    for option, known, setting in kinds:
        asked = composed.value(option)
        if asked and asked not in known and not plugin:
            near = sorted(name for name in known if name.startswith(asked.split("_")[0])) or sorted(known)
            hint = "hermes (Qwen3's own), " if (option, asked) == ("--tool-call-parser", "qwen3") else ""
            version = subject.options.version
            yield f"{option} {asked}: vLLM {version} has no such parser; {setting} takes {hint}{', '.join(near)}"
    if composed.on("--enable-auto-tool-choice") and not composed.value("--tool-call-parser"):
        yield "--enable-auto-tool-choice: it needs --tool-call-parser (DOCMIND_SERVE__TOOL_CALL_PARSER)"


def _open_door(subject: Subject, composed: Composed) -> Iterator[str]:
    host = composed.value("--host")
    keyed = composed.value("--api-key") or subject.vllm.api_key.get_secret_value() not in NO_KEYS
    if not loopback(host) and not keyed:
        yield (
            f"--host {host}: whoever reaches this machine can use the model; set DOCMIND_VLLM__API_KEY, or"
            " DOCMIND_SERVE__HOST=127.0.0.1"
        )
    elif not loopback(host):
        yield f"--host {host}: the key guards /v1 only; /metrics and /tokenize answer whoever reaches this machine"
    if composed.on("--trust-remote-code"):
        yield "--trust-remote-code: code of the model's author runs on this machine, with your rights"
    if composed.value("--api-key"):
        yield "--api-key: every user of the machine can read it in the list of processes; set DOCMIND_VLLM__API_KEY"


def _slow(subject: Subject, composed: Composed) -> Iterator[str]:
    model, gpu = subject.model, subject.gpu
    if model is not None and gpu is not None and model.quantization == "fp8" and not gpu.fp8_weights:
        yield (
            f"{subject.wanted.model}: {gpu.name} computes no FP8; vLLM keeps the weights in FP8 and computes in 16 bits"
        )
    if _backend_of(composed) == "FLASHINFER":
        yield "attention backend FLASHINFER: the package flashinfer-python has to be installed beside vLLM"


def _backend_of(composed: Composed) -> str:
    return composed.value("--attention-backend") or composed.environment.get("VLLM_ATTENTION_BACKEND", "")


def loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost" or not host:
        return bool(host)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


_RULES: tuple[Rule, ...] = (
    _kv_cache,
    _backend,
    _quantization,
    _context,
    _batch,
    _memory,
    _parallel,
    _named_parsers,
)
_WARNINGS: tuple[Rule, ...] = (_open_door, _slow)
