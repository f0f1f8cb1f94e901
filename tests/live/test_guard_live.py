"""The guard against a real vLLM: what it counts is what the server reports."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from infra.errors import BudgetExceeded
from infra.llm.backends import GuardedChat, Transports, build_budget, build_desk, chat_over, choose
from infra.llm.ledger import Ledger, Scope
from infra.settings import Settings, load_settings

pytestmark = pytest.mark.live
SCOPE = Scope(question_id="q", thread_id="t", agent="test")
NO_ENGINE = Transports(
    httpx2.MockTransport(lambda _: httpx2.Response(404)), httpx2.MockTransport(lambda _: httpx2.Response(404))
)


@pytest.fixture
def settings(live_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DOCMIND_BACKEND", "vllm")
    monkeypatch.setenv("DOCMIND_VLLM__BASE_URL", live_url)
    monkeypatch.setenv("DOCMIND_BUDGET__RESERVE_TOKENS", "16")
    return load_settings()


@pytest.fixture
async def chat(settings: Settings) -> AsyncIterator[GuardedChat]:
    backend = choose(settings, engine=NO_ENGINE)
    model = chat_over(build_desk(backend, settings, Ledger(), build_budget(settings)), settings)
    yield model.scoped(SCOPE)
    await model.aclose()


async def test_the_count_before_the_call_is_the_servers_own(chat: GuardedChat):
    await chat.ainvoke("Which of the two is longer, the river or the road?")
    [call] = chat.ledger.calls("q")
    assert (call.outcome, call.tries) == ("ok", 1)
    assert call.counted_tokens == call.prompt_tokens
    assert 1 <= call.completion_tokens <= 16


async def test_a_prompt_beyond_the_servers_window_never_leaves(chat: GuardedChat):
    with pytest.raises(BudgetExceeded):
        await chat.ainvoke([("system", "word " * 20_000), ("user", "And?")])
    [call] = chat.ledger.calls("q")
    assert (call.outcome, call.tries) == ("refused", 0)
