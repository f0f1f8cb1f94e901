"""The embedded engine: it is asked in process, in vLLM's dialect (`infra.engine`)."""

from infra.llm.endpoint import Abilities, Backend
from infra.llm.servers.common import Listing
from infra.llm.servers.probe import Probe
from infra.settings import Settings

ENGINE_URL = "http://engine.invalid/v1"  # never resolved: requests to it are answered in process
ENGINE_NAME = "embedded engine (extractive, no language model)"
_ABILITIES = Abilities(tools=True, parallel_calls=True, json_schema=True, cached_tokens=True)  # it is this program


def find(probe: Probe, settings: Settings, model: str) -> Backend:
    """Ask the engine for its model and window; see `infra.llm.servers`. ``model`` does not matter: it has one."""
    del model
    served = probe.get(f"{probe.base_url}/models", Listing).data[0]
    ours = settings.engine.context_window
    return Backend(
        name="engine",
        model=served.id,
        engine=ENGINE_NAME,
        context_window=min(served.window or ours, ours),
        base_url=probe.base_url,
        abilities=_ABILITIES,
    )
