"""Synthesizer and validator share a prefix: against a real vLLM the second one's prompt comes from its cache."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from agents.planner import single
from agents.synthesizer import Case, Claim, Draft, draft
from agents.validator import validate
from infra.llm.ask import Asker
from infra.llm.ledger import Call, Scope
from infra.resources import Resources
from infra.settings import load_settings
from tools.evidence import Evidence, Passage

pytestmark = pytest.mark.live

QUESTION = "Who keeps the key of the boat house?"
WANTED = 0.8
PASSAGES = 12


def _case(mark: str) -> Case:
    """Return a question with evidence of some 1,500 tokens that no server has read before: each passage holds ``mark``.

    A prompt shorter than the server's blocks (128 tokens on CPU) could share nothing.
    """
    texts = [
        f"In note {n} of {mark} the harbour master keeps the key of boat house {n}. It hangs behind the blue door. "
        "Who needs it signs the book, brings it back before dusk and says how many boats are out."
        for n in range(1, PASSAGES + 1)
    ]
    passages = [Passage(str(n), f"notes/{n}.md", 0, len(text), text, "", 1.0, "") for n, text in enumerate(texts, 1)]
    evidence = [Evidence(f"E{n}", passage) for n, passage in enumerate(passages, 1)]
    return Case(QUESTION, single(QUESTION), evidence)


async def test_four_fifths_of_the_validators_prompt_come_from_the_prefix_cache(
    live_url: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    for name, value in {"BACKEND": "vllm", "VLLM__BASE_URL": live_url, "BUDGET__RESERVE_TOKENS": "64"}.items():
        monkeypatch.setenv(f"DOCMIND_{name}", value)
    monkeypatch.setenv("DOCMIND_CACHE__ENABLED", "false")
    resources = Resources(load_settings())
    calls: list[Call] = []
    resources.ledger.listen(calls.append)
    case = _case(uuid4().hex)
    reworded = Draft(claims=[Claim(text="The key of boat house 7 is kept by the harbour master", marks=["E7"])])
    chat = await resources.chat()
    try:
        await draft(case, Asker(chat.scoped(Scope("q", "", "synthesizer"))))
        await validate(case, reworded, Asker(chat.scoped(Scope("q", "", "validator"))))
    finally:
        await resources.aclose()

    first = next(call for call in calls if call.scope.agent == "synthesizer")
    judged = next(call for call in calls if call.scope.agent == "validator")
    assert first.cached_tokens < 0.2 * first.prompt_tokens, "the evidence was read before: the test shows nothing"
    share = judged.cached_tokens / judged.prompt_tokens
    record_property("cached_share", share)
    assert share >= WANTED, f"{judged.cached_tokens} of {judged.prompt_tokens} tokens"
