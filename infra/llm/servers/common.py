"""What the kinds of servers have in common: the OpenAI model list, which model to ask for, whose window is smaller."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import AliasChoices, BaseModel, Field

from infra.errors import ConfigurationError
from infra.llm.servers.probe import Probe

MAX_NAMED = 8
TOKENIZER_FILE = "tokenizer.json"


class Served(BaseModel):
    """One entry of ``/v1/models``.

    Attributes:
        id: name of the model.
        window: tokens of prompt and reply, where told: ``max_model_len`` (vLLM, SGLang), ``context_length``
            (OpenRouter), ``context_window`` (Groq), ``max_context_length`` (Mistral).
        root: vLLM: the folder, or the repository, that the model was loaded from.
    """

    id: str = Field(min_length=1, max_length=1_024)
    window: int | None = Field(
        default=None,
        gt=0,
        validation_alias=AliasChoices("max_model_len", "context_length", "context_window", "max_context_length"),
    )
    root: str | None = None


class Listing(BaseModel):
    """``/v1/models``."""

    data: list[Served] = Field(min_length=1)

    def names(self) -> list[str]:
        """Return the models' names, as listed."""
        return [served.id for served in self.data]

    def of(self, name: str) -> Served:
        """Return the entry of a model that is listed."""
        return next(served for served in self.data if served.id == name)


class Version(BaseModel):
    """``/version`` of vLLM, ``/api/version`` of Ollama."""

    version: str = Field(max_length=64)


def chosen(probe: Probe, served: Sequence[str], configured: str, asked: str) -> tuple[str, str]:
    """Return the model to ask for, and what to say of it.

    Args:
        probe: the server.
        served: names of the models it serves; at least one.
        configured: the model of the settings; empty: whatever it serves.
        asked: the model that an agent has of its own; empty: the settings'.

    Raises:
        ConfigurationError: it is not served, and what is served leaves a choice.
    """
    wanted = asked or configured
    if wanted in served:
        return wanted, ""
    if len(served) == 1 and not asked:
        only = served[0]
        instead = f"{probe.base_url} serves {only}, not {wanted} ({probe.setting('MODEL')}): using what it serves"
        return only, instead if wanted else ""
    raise not_served(probe, served, configured, asked)


def not_served(probe: Probe, served: Sequence[str], configured: str, asked: str) -> ConfigurationError:
    """Return the error of a model that is not there, or of one that must be named."""
    there = f"{', '.join(served[:MAX_NAMED])}{', ...' if len(served) > MAX_NAMED else ''}"
    if not (asked or configured):
        return ConfigurationError(f"{probe.base_url} serves {there}: name one in {probe.setting('MODEL')}")
    setting = "a model of DOCMIND_MODELS, " if asked else f"{probe.setting('MODEL')}="
    return ConfigurationError(f"{setting}{asked or configured!r} is not served at {probe.base_url}; it serves {there}")


def tokenizer_folder(folder: Path | None, setting: str) -> Path | None:
    """Return the folder that a setting names, made sure of; None where it names none.

    Raises:
        ConfigurationError: it holds no tokenizer.
    """
    if folder is None:
        return None
    folder = folder.expanduser()
    if not (folder / TOKENIZER_FILE).is_file():
        raise ConfigurationError(f"{setting}={folder} holds no {TOKENIZER_FILE}; give the model's folder")
    return folder
