"""A guarded model over a scripted server, and a passage or two."""

import json
from typing import Any

from langchain_core.language_models import BaseChatModel

from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.llm.ask import Asker
from infra.llm.backends import build_budget, build_desk, chat_over, choose
from infra.llm.endpoint import Transports
from infra.llm.ledger import Ledger, Scope
from infra.settings import BackendKind, Settings
from tests.fakes import ScriptedServer
from tools.evidence import Evidence, Passage

TEXT = "Ann Miller opened the bakery in May 2021. She sells forty loaves a day."


def scripted(*replies: Any, rules: bool = False) -> tuple[Asker, ScriptedServer]:
    """Return an asker of a model that answers in order: strings as they are, values as JSON; with rules if wanted."""
    server = ScriptedServer([r if isinstance(r, str) else json.dumps(r) for r in replies])
    engine = Engine(Settings().engine)
    inside = Transports(EngineTransport(engine), EngineAsyncTransport(engine))
    model = _chat("vllm", server.transports)
    return Asker(model, _chat("engine", inside) if rules else None), server


def _chat(name: BackendKind, transports: Transports) -> BaseChatModel:
    settings = Settings(backend=name)
    backend = choose(settings, transports, server=transports)
    chat = chat_over(build_desk(backend, settings, Ledger(), build_budget(settings), transports), settings)
    return chat.scoped(Scope("000001-m", "t", "test"))


def evidence(text: str = TEXT, doc: str = "ann.txt", label: str = "E1", start: int = 100) -> Evidence:
    """Return ``text`` as the passage of ``doc`` that begins at ``start``."""
    return Evidence(label, Passage(f"id-{doc}", doc, start, start + len(text), text, doc, 1.0, "digest"))
