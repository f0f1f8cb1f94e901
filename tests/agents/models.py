"""A guarded model over a scripted server, and a passage or two."""

import json
from typing import Any

from infra.llm.ask import Asker
from infra.llm.backends import build_budget, build_chat, choose
from infra.llm.ledger import Ledger, Scope
from infra.settings import Settings
from tests.fakes import ScriptedServer
from tools.evidence import Evidence, Passage

TEXT = "Ann Miller opened the bakery in May 2021. She sells forty loaves a day."


def scripted(*replies: Any) -> tuple[Asker, ScriptedServer]:
    """Return an asker without rules, of a model that answers in order: strings as they are, values as JSON."""
    server = ScriptedServer([r if isinstance(r, str) else json.dumps(r) for r in replies])
    settings = Settings(backend="vllm")
    backend = choose(settings, server.transports, server=server.transports)
    chat = build_chat(backend, settings, Ledger(), build_budget(settings), server.transports)
    return Asker(chat.scoped(Scope("000001-m", "t", "test"))), server


def evidence(text: str = TEXT, doc: str = "ann.txt", label: str = "E1", start: int = 100) -> Evidence:
    """Return ``text`` as the passage of ``doc`` that begins at ``start``."""
    return Evidence(label, Passage(f"id-{doc}", doc, start, start + len(text), text, doc, 1.0, "digest"))
