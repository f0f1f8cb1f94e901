"""llama.cpp's server: models from ``/v1/models``, all else from ``/props``.

``default_generation_settings.n_ctx`` is the window of one slot, not of all (``-c 8192 -np 2`` gives 4096: asked of
build 10434). ``chat_template_caps`` says whether the model's template takes tools and parallel calls. A reply is held
to a JSON schema by a grammar of the server's own, whatever the model. A server that serves several models (a router,
without ``-m``) answers ``/props`` for the one named in the query, and loads it then. While a model is loading,
everything answers 503. Source: llama.cpp, ``tools/server/README.md``, and the recorded exchanges in ``tests/recorded``.
"""

from urllib.parse import quote

from pydantic import BaseModel, Field

from infra.llm.endpoint import Abilities, Backend
from infra.llm.servers.common import Listing, Served, chosen
from infra.llm.servers.probe import Probe
from infra.settings import Settings


class _State(BaseModel):
    value: str = ""


class _Model(Served):
    status: _State | None = None


class _Models(Listing):
    data: list[_Model] = Field(min_length=1)  # pyright: ignore[reportIncompatibleVariableOverride] - never written


class _Slot(BaseModel):
    n_ctx: int = Field(gt=0)


class _Caps(BaseModel):
    supports_tools: bool | None = None
    supports_parallel_tool_calls: bool | None = None


class _Props(BaseModel):
    default_generation_settings: _Slot
    chat_template_caps: _Caps = _Caps()
    build_info: str = Field(default="", max_length=256)


def find(probe: Probe, settings: Settings, model: str) -> Backend:
    """Ask llama.cpp's server for its model, a slot's window and what its template can do; see `infra.llm.servers`."""
    ours = settings.llamacpp
    models = probe.get(f"{probe.base_url}/models", _Models).data
    loaded = [entry.id for entry in models if entry.status is None or entry.status.value == "loaded"]
    wanted = model or ours.model
    names = [entry.id for entry in models] if wanted or len(loaded) != 1 else loaded
    name, note = chosen(probe, names, ours.model, model)
    props = probe.get(f"{probe.root_url}/props?model={quote(name, safe='')}", _Props)
    slot, caps = props.default_generation_settings.n_ctx, props.chat_template_caps
    return Backend(
        name="llamacpp",
        model=name,
        engine=f"llama.cpp {props.build_info}".strip(),
        context_window=min(slot, ours.context_window),
        base_url=probe.base_url,
        counting="llamacpp",
        abilities=Abilities(
            tools=caps.supports_tools, parallel_calls=caps.supports_parallel_tool_calls, json_schema=True
        ),
        note=note,
        window_option="llama.cpp's --ctx-size, shared by its --parallel slots," if slot < ours.context_window else "",
    )
