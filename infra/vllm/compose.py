"""One ``vllm serve`` command from what is wanted, the settings and the facts, for one version of vLLM.

Gives `compose`, and `Composed` as words, as a shell line, as an environment file and as a ``--config`` file. Pure: the
facts come by argument, nothing is read or started. What cannot work is refused by `infra.vllm.conflicts`; here an
option is only refused where this version does not have it. No key stands in a command line, where every user of the
machine could read it: it is in the environment.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from infra.errors import ConfigurationError
from infra.settings import ServeSettings, VllmSettings
from infra.text.plain import short_line
from infra.vllm.facts import GpuFacts, Machine, ModelFacts, Wanted
from infra.vllm.files import expanded
from infra.vllm.options import OptionList, gone
from infra.vllm.parsers import parsers_for
from infra.vllm.words import Given, read_words, refused_variables

NO_KEYS = ("", "EMPTY")
FP8_KV = ("fp8", "fp8_e4m3", "fp8_e5m2")
_PLAIN = re.compile(r"0|[1-9]\d{0,15}|(?:0|[1-9]\d{0,8})\.\d{0,6}[1-9]")
_SAFE = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")
_BREAKS = frozenset("'\\")
_TRITON = (8, 9)
"""From this compute capability on vLLM has a second backend for an FP8 KV cache; below it only FlashInfer reads one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a command is composed from.

    Attributes:
        wanted: what a person asks for.
        serve: settings of the server.
        vllm: settings of its client: address, key, served name.
        options: those of the version that the command is for.
        model: facts, None where nothing is known of the model.
        gpu: facts, None where no GPU is named and none is here.
        machine: None where the command is for another machine.
        extra: words of vLLM's own that a person added; they win.
        environment: variables that a person added.
    """

    wanted: Wanted
    serve: ServeSettings
    vllm: VllmSettings
    options: OptionList
    model: ModelFacts | None = None
    gpu: GpuFacts | None = None
    machine: Machine | None = None
    extra: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Composed:
    """A command for one version of vLLM.

    Attributes:
        version: of vLLM.
        model: what it loads, the first word after ``serve``.
        given: its options in their order, each once.
        environment: variables that it needs; a key among them.
        warnings: one line each: what is left to the person.
    """

    version: str
    model: str
    given: tuple[Given, ...]
    environment: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What stands after ``vllm``."""
        return ("serve", self.model, *(word for each in self.given for word in each.words))

    @property
    def line(self) -> str:
        """The command, quoted for a POSIX shell; without the environment."""
        return shlex.join(("vllm", *self.words))

    def value(self, key: str) -> str:
        """Return the last value of an option, '' where it is not given or has none."""
        return next((each.values[-1] for each in self.given if each.key == key and each.values), "")

    def on(self, key: str) -> bool:
        """Whether a flag is given and not switched off."""
        return any(each.key == each.name == key for each in self.given)

    def env_file(self) -> str:
        """Return the environment as systemd, Compose and a shell read it from a file."""
        return env_lines(self.environment)

    def config_yaml(self) -> str:
        """Return the file for ``vllm serve --config``: the same options, values as JSON writes them."""
        lines = [f"# For vLLM {self.version}: vllm serve --config THIS_FILE", f"model: {json.dumps(self.model)}"]
        for each in self.given:
            flag = each.name == each.key
            values = list(each.values)
            value = flag if not values else values[0] if len(values) == 1 else values
            lines.append(f"{(each.name if values else each.key)[2:]}: {json.dumps(_typed(value))}")
        return "\n".join(lines) + "\n"


def compose(subject: Subject) -> Composed:
    """Return the command for ``subject``.

    Raises:
        ConfigurationError: this version does not have an option that is needed or was added.
    """
    warnings: list[str] = []
    if not subject.wanted.model or subject.wanted.model.startswith("-") or not subject.wanted.model.isprintable():
        raise ConfigurationError(f"{short_line(subject.wanted.model, 60)!r} is no name of a model; see --model")
    own = [*_address(subject), *_served_name(subject, warnings), *_sizes(subject), *_parallel(subject)]
    own += [*_attention(subject), *_tools(subject, warnings), *_always(subject)]
    extra = read_words((*_split(subject.serve.extra_args), *subject.extra), subject.options)
    given = {each.key: each for each in own}
    for each in extra:
        given[each.name if "." in each.name else each.key] = each
    return Composed(
        subject.options.version,
        expanded(subject.wanted.model),
        tuple(given.values()),
        _environment(subject, warnings),
        tuple(warnings),
    )


def _split(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError as error:
        raise ConfigurationError(f"DOCMIND_SERVE__EXTRA_ARGS cannot be read as words: {error}") from error


def env_lines(variables: Mapping[str, str]) -> str:
    """Return variables one a line, so that systemd, Compose and a shell all read the same value.

    Raises:
        ConfigurationError: a value that these three read differently.
    """
    if broken := [name for name, value in variables.items() if set(value) & _BREAKS or not value.isprintable()]:
        raise ConfigurationError(f"{broken[0]}: a value with ' or \\, or of several lines, cannot stand in a file")
    quoted = {name: value if _SAFE.fullmatch(value) else f"'{value}'" for name, value in variables.items()}
    return "".join(f"{name}={value}\n" for name, value in quoted.items())


def _address(subject: Subject) -> list[Given]:
    port = urlsplit(subject.vllm.base_url).port or (443 if subject.vllm.base_url.startswith("https") else 80)
    return [_given("--host", subject.serve.host), _given("--port", port)]


def _served_name(subject: Subject, warnings: list[str]) -> list[Given]:
    """Name the model as DocMind asks for it, where it is loaded under another name."""
    loaded, asked = subject.wanted.model, subject.vllm.model
    if loaded == asked == expanded(loaded):
        return []
    if loaded in (asked, subject.serve.load):
        return [_given("--served-model-name", asked)]
    warnings.append(f"DocMind asks for {asked!r}; set DOCMIND_VLLM__MODEL to {loaded!r} to use this server")
    return []


def _sizes(subject: Subject) -> list[Given]:
    wanted, given = subject.wanted, list[Given]()
    if wanted.context is not None:
        given.append(_given("--max-model-len", wanted.context))
    elif subject.options.options["--max-model-len"].value == "length":
        given.append(_given("--max-model-len", "auto"))
    else:
        raise ConfigurationError(
            f"vLLM {subject.options.version} does not find the longest context by itself; give --context a number"
        )
    if wanted.kv_cache_dtype != "auto":
        given.append(_given("--kv-cache-dtype", wanted.kv_cache_dtype))
    given.append(_given("--gpu-memory-utilization", f"{wanted.utilization:g}"))
    if wanted.sequences is not None:
        given.append(_given("--max-num-seqs", wanted.sequences))
    if wanted.batched_tokens is not None:
        given.append(_given("--max-num-batched-tokens", wanted.batched_tokens))
    if wanted.offload_gib > 0:
        size, backend = _needed(subject, "--kv-offloading-size"), _needed(subject, "--kv-offloading-backend")
        given += [_given(size, f"{wanted.offload_gib:g}"), _given(backend, "native")]
    return given


def _parallel(subject: Subject) -> list[Given]:
    wanted = subject.wanted
    both = (("--tensor-parallel-size", wanted.tensor_parallel), ("--pipeline-parallel-size", wanted.pipeline_parallel))
    flags = [Given("--enforce-eager", "--enforce-eager")] if wanted.eager else []
    return [_given(name, size) for name, size in both if size > 1] + flags


def backend_for(subject: Subject) -> str:
    """Return the attention backend to ask for: the one set, else FLASHINFER where nothing else reads the KV cache."""
    gpu, chosen = subject.gpu, subject.serve.attention_backend
    alone = gpu is not None and subject.wanted.kv_cache_dtype in FP8_KV and gpu.capability < _TRITON
    mla = subject.model is not None and any(group.kind == "mla" for group in subject.model.groups)
    return chosen or ("FLASHINFER" if alone and not mla else "")


def _attention(subject: Subject) -> list[Given]:
    backend = backend_for(subject)
    known = "--attention-backend" in subject.options.options  # before that, a variable said it
    return [_given("--attention-backend", backend)] if backend and known else []


def _tools(subject: Subject, warnings: list[str]) -> list[Given]:
    family = parsers_for(subject.wanted.model, subject.model.architecture if subject.model is not None else "")
    tool = subject.serve.tool_call_parser or family.tool_calls
    reasoning = subject.serve.reasoning_parser or family.reasoning
    given = list[Given]()
    if tool and (subject.serve.tool_call_parser or tool in subject.options.tool_call_parsers):
        flag = "--enable-auto-tool-choice"
        given += [Given(flag, flag), _given("--tool-call-parser", tool)]
    else:
        warnings.append(
            f"no tool-call parser of vLLM {subject.options.version} is known for {subject.wanted.model}: DocMind works "
            "with the supervisor's mode policy; DOCMIND_SERVE__TOOL_CALL_PARSER names one"
        )
    if reasoning and (subject.serve.reasoning_parser or reasoning in subject.options.reasoning_parsers):
        given.append(_given("--reasoning-parser", reasoning))
    return given


def _always(subject: Subject) -> list[Given]:
    """What DocMind needs: prefixes that are kept, and how many tokens of a prompt were."""
    flags = ("--enable-prefix-caching", "--enable-prompt-tokens-details")
    return [Given(name, name) for name in flags if name in subject.options.options]


def _environment(subject: Subject, warnings: list[str]) -> dict[str, str]:
    variables = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if not subject.serve.download:
        variables |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    key = subject.vllm.api_key.get_secret_value()
    if key not in NO_KEYS:
        variables["VLLM_API_KEY"] = key
    backend = backend_for(subject)
    if backend and "--attention-backend" not in subject.options.options:
        variables["VLLM_ATTENTION_BACKEND"] = backend
    if refused := refused_variables(subject.environment, subject.options):
        raise ConfigurationError("\n".join(refused))
    if not subject.serve.download and (subject.model is None or subject.model.folder is None):
        warnings.append(
            f"{subject.wanted.model} is not on this machine; vLLM may fetch it with DOCMIND_SERVE__DOWNLOAD=true"
        )
    return variables | dict(subject.environment)


def _needed(subject: Subject, name: str) -> str:
    if name in subject.options.options:
        return name
    version = subject.options.version
    raise ConfigurationError(f"{name} is no option of vLLM {version}: {gone(name, subject.options) or 'unknown'}")


def _given(name: str, value: str | int) -> Given:
    return Given(name, name, (str(value),))


def _typed(value: object) -> object:
    """A plain number as a number, so that the file reads as a person would write it; vLLM takes both."""
    return json.loads(value) if isinstance(value, str) and _PLAIN.fullmatch(value) else value
