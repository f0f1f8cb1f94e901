"""Ollama: its own API says what its OpenAI API does not.

``/api/version``; ``/api/ps`` (models in memory, each with its real ``context_length``: since July 2025,
https://github.com/ollama/ollama/pull/11331); ``/api/tags`` (models installed); ``/api/show`` (``capabilities``,
``parameters``, ``model_info``). Source: https://docs.ollama.com/openapi.yaml and the recorded exchanges in
``tests/recorded``.

A prompt longer than the window is cut without a word, so the window must be known before; as a model may be loaded anew
with another one at any call, it is asked for again after each reply (`infra.llm.live_window`). A model in memory has
the one that ``/api/ps`` says. One that is not gets, when a call loads it, the ``num_ctx`` of its Modelfile; else what
OLLAMA_CONTEXT_LENGTH says, which nobody outside can ask for; else a default by GPU memory, 4,096 tokens below 24 GiB,
32,768 below 48, 262,144 above since version 0.15.5, 4,096 since 0.6.7, 2,048 before
(https://docs.ollama.com/context-length; the order of precedence: https://github.com/ollama/ollama/issues/18229). The
smallest is taken then, and the facts are marked as provisional.

Replies are held to a JSON schema since version 0.5 (https://ollama.com/blog/structured-outputs). Models that Ollama
passes on to another machine (``remote_host``, names that end in ``cloud``) are not used: documents stay here.
"""

import re
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, Field, ValidationError

from infra.errors import ConfigurationError
from infra.llm.endpoint import Abilities, Backend
from infra.llm.live_window import Source
from infra.llm.servers.common import MAX_NAMED, Version, not_served
from infra.llm.servers.probe import Probe
from infra.settings import Settings

DEFAULT_WINDOW, OLD_WINDOW = 4_096, 2_048
OPTION = "Ollama's OLLAMA_CONTEXT_LENGTH, or num_ctx of the model,"
_SETTING = "DOCMIND_OLLAMA__CONTEXT_WINDOW"
_SCHEMAS_SINCE, _WINDOW_SINCE = (0, 5, 0), (0, 6, 7)
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


class _Entry(BaseModel):
    name: str = Field(min_length=1, max_length=1_024)
    context_length: int | None = Field(default=None, ge=0)
    remote_host: str | None = None

    @property
    def is_remote(self) -> bool:
        return bool(self.remote_host) or self.name.endswith(("-cloud", ":cloud"))


class _Entries(BaseModel):
    models: list[_Entry]


class _Shown(BaseModel):
    capabilities: list[str] | None = None
    parameters: str = ""
    model_info: dict[str, object] | None = None

    @property
    def speaks(self) -> bool:
        return self.capabilities is None or "completion" in self.capabilities

    @property
    def longest(self) -> int | None:
        """Tokens the model was made for: ``<architecture>.context_length``."""
        info = self.model_info or {}
        told = info.get(f"{info.get('general.architecture')}.context_length")
        return told if isinstance(told, int) and told > 0 else None


@dataclass(frozen=True, slots=True)
class _Window:
    tokens: int
    provisional: bool = False
    note: str = ""


def find(probe: Probe, settings: Settings, model: str) -> Backend:
    """Ask Ollama for a model and its real window; see `infra.llm.servers`.

    Where no model is named it is the one that is loaded, else the only one installed. One that runs elsewhere is a
    ConfigurationError.
    """
    version = probe.get(f"{probe.root_url}/api/version", Version).version
    number = _number(version)
    loaded = probe.get(f"{probe.root_url}/api/ps", _Entries).models
    installed = probe.get(f"{probe.root_url}/api/tags", _Entries).models
    name, shown = _pick(probe, settings.ollama.model, model, (loaded, installed))
    default = OLD_WINDOW if number and number < _WINDOW_SINCE else DEFAULT_WINDOW
    window = _window(name, loaded, shown, default)
    ours = settings.ollama.context_window
    return Backend(
        name="ollama",
        model=name,
        engine=f"ollama {version}",
        context_window=min(window.tokens, ours),
        base_url=probe.base_url,
        counting="none",
        abilities=Abilities(
            tools=None if shown.capabilities is None else "tools" in shown.capabilities,
            json_schema=number >= _SCHEMAS_SINCE if number else None,
        ),
        note=window.note,
        window_option=OPTION if window.tokens < ours else "",
        provisional=window.provisional,
    )


def window_source(backend: Backend, settings: Settings) -> Source:
    """Return where Ollama says with which window a model is in memory now."""
    read = partial(_told, backend.model)
    ours = settings.ollama.context_window
    return Source(f"{backend.root_url}/api/ps", read, OPTION, ours, _SETTING, settings.calls.connect_seconds)


def _told(name: str, answer: bytes) -> int | None:
    try:
        return _in_memory(name, _Entries.model_validate_json(answer).models)
    except ValidationError:
        return None


def _in_memory(name: str, loaded: list[_Entry]) -> int | None:
    return next((entry.context_length for entry in loaded if entry.name == name and entry.context_length), None)


def _pick(probe: Probe, configured: str, asked: str, known: tuple[list[_Entry], list[_Entry]]) -> tuple[str, _Shown]:
    """Return the model to ask for and what is known of it; ``known`` is what is loaded and what is installed."""
    loaded, installed = known
    wanted = _tagged(asked or configured)
    local = [entry.name for entry in installed if not entry.is_remote]
    if wanted in local:
        return wanted, _shown(probe, wanted)
    if any(entry.name == wanted for entry in installed):
        raise ConfigurationError(
            f"the model {wanted!r} of Ollama runs on another machine; documents stay here: name a local one"
        )
    if not local:
        raise ConfigurationError(
            f"Ollama at {probe.base_url} has no model on this machine; get one with: ollama pull MODEL"
        )
    if wanted:
        raise not_served(probe, local, configured, asked)
    in_memory = [entry.name for entry in loaded if entry.name in local]
    for names in (in_memory, local):
        speaking = [(name, shown) for name in names[:MAX_NAMED] if (shown := _shown(probe, name)).speaks]
        if len(speaking) == 1 and len(names) <= MAX_NAMED:
            return speaking[0]
    raise not_served(probe, local, "", "")


def _tagged(name: str) -> str:
    """Return a model's whole name: without a tag it is the latest."""
    return name if not name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _shown(probe: Probe, name: str) -> _Shown:
    return probe.post(f"{probe.root_url}/api/show", {"model": name}, _Shown)


def _window(name: str, loaded: list[_Entry], shown: _Shown, default: int) -> _Window:
    """Return the window that the next call will have, as far as it can be known."""
    in_memory = any(entry.name == name for entry in loaded)
    if told := _in_memory(name, loaded):
        return _Window(told)
    configured = _NUM_CTX.search(shown.parameters)
    tokens = int(configured[1]) if configured else default
    tokens = max(1, min(tokens, shown.longest or tokens))
    why = "does not say its window" if in_memory else "is not loaded yet"
    note = "" if configured else f"{name} {why}: {tokens:,} tokens are assumed; {OPTION} sets more"
    return _Window(tokens, provisional=not in_memory, note=note)


def _number(version: str) -> tuple[int, int, int] | None:
    told = _VERSION.match(version)
    return (int(told[1]), int(told[2]), int(told[3])) if told else None
