"""Ledger entries for the tests of what is logged and measured."""

from dataclasses import replace
from typing import Any

from infra.llm.ledger import Attempt, Call, Scope

CALL = Call(
    scope=Scope("q1", "t1", "router"),
    backend="vllm",
    model="scripted",
    prompt_tokens=1_050,
    completion_tokens=131,
    cached_tokens=50,
    seconds=3.5,
    attempts=(Attempt(0.25, "status", 503, "busy"), Attempt(2.0)),
    outcome="ok",
    counted_tokens=1_049,
    exact=False,
    started=1_767_225_600.0,
    first_token_seconds=1.0,
    dropped=("S3", "S4"),
    cut_tokens=12,
)


def call(**changes: Any) -> Call:
    """A call that was tried twice, with some fields changed."""
    return replace(CALL, **changes)
