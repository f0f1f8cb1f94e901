"""Any other server that speaks the OpenAI protocol: LM Studio, SGLang, TGI, a proxy.

Models and, where told, windows from ``/v1/models`` (`common.Served` names the fields). LM Studio says which model is
loaded and with what window in ``/api/v0/models`` (https://lmstudio.ai/docs/developer/rest/endpoints). Whether
``/tokenize`` counts messages as vLLM's does is tried once. Where no window is told, DOCMIND_OPENAI__CONTEXT_WINDOW
holds.
"""

from pydantic import BaseModel, Field

from infra.llm.endpoint import Abilities, Backend
from infra.llm.servers.common import Listing, chosen, tokenizer_folder
from infra.llm.servers.probe import Probe
from infra.settings import Settings


class _Known(BaseModel):
    id: str
    type: str
    state: str
    loaded_context_length: int | None = Field(default=None, gt=0)
    capabilities: list[str] | None = None


class _LmStudio(BaseModel):
    data: list[_Known] = Field(min_length=1)

    def loaded(self) -> list[str]:
        return [known.id for known in self.data if known.state == "loaded" and known.type != "embeddings"]

    def of(self, name: str) -> _Known | None:
        return next((known for known in self.data if known.id == name), None)


class _Counted(BaseModel):
    count: int = Field(gt=0)
    max_model_len: int = Field(gt=0)


def find(probe: Probe, settings: Settings, model: str) -> Backend:
    """Ask a server for its model and window, and whether it counts tokens; see `infra.llm.servers`."""
    ours = settings.openai
    listing = probe.get(f"{probe.base_url}/models", Listing)
    studio = probe.told(f"{probe.root_url}/api/v0/models", _LmStudio)
    loaded = studio.loaded() if studio else []
    names = loaded if len(loaded) == 1 and not (model or ours.model) else listing.names()
    name, note = chosen(probe, names, ours.model, model)
    known = studio.of(name) if studio else None
    told = (known and known.loaded_context_length) or (listing.of(name).window if name in listing.names() else None)
    own = tokenizer_folder(ours.tokenizer, probe.setting("TOKENIZER")) if not model else None
    unsaid = "" if told else f"its window is not told, {probe.setting('CONTEXT_WINDOW')}={ours.context_window} holds"
    return Backend(
        name="openai",
        model=name,
        engine="LM Studio" if studio else "OpenAI-compatible server",
        context_window=min(told or ours.context_window, ours.context_window),
        base_url=probe.base_url,
        counting="vllm" if _counts(probe, name) else "none",
        abilities=Abilities(tools="tool_use" in known.capabilities if known and known.capabilities else None),
        tokenizer=own,
        note="; ".join(part for part in (note, unsaid) if part),
        window_option="the server's own context length" if told and told < ours.context_window else "",
    )


def _counts(probe: Probe, model: str) -> bool:
    """Whether ``/tokenize`` counts messages, as vLLM's does (llama.cpp's takes bare text only)."""
    body = {"model": model, "messages": [{"role": "user", "content": "a"}]}
    return probe.told(f"{probe.root_url}/tokenize", _Counted, body) is not None
