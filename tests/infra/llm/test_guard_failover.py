"""The guard when a server is dead: it is left alone, and the next back end is asked the same."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from tenacity import RetryCallState
from tenacity.wait import wait_base

from infra.errors import BackendError, BackendUnavailable, BudgetExceeded
from infra.llm.breaker import LeftAlone, Sign
from infra.llm.desk import Retries
from infra.llm.guard import GuardedChat
from infra.llm.ledger import Call, Ledger, Remark, Scope
from infra.text.blocks import block
from tests.fakes import Said, Script, ScriptedServer
from tests.infra.llm.bench import BACKEND, SCOPE, blocking, chat_of, desk, drain, limits, look

DOWN = Said(error=httpx2.ConnectError("refused"))
SLOW = Said(error=httpx2.ReadTimeout(""))
HTML = Said(body=b"<html>", content_type="text/html")


@dataclass(frozen=True, slots=True)
class Pair:
    """A server that fails, and one that stands behind it; one ledger, one budget."""

    chat: GuardedChat
    first: ScriptedServer
    second: ScriptedServer
    ledger: Ledger
    opened: list[str]

    @property
    def calls(self) -> list[Call]:
        return self.ledger.calls(SCOPE.question_id)

    @property
    def remarks(self) -> list[Remark]:
        return self.ledger.remarks(SCOPE.question_id)


def pair(first: Script | ScriptedServer, second: Script, *, window: int = 32_768, failures: int = 100) -> Pair:
    """Put `llamacpp` behind `vllm`."""
    one = first if isinstance(first, ScriptedServer) else ScriptedServer(first)
    two, ledger, budget, opened = ScriptedServer(second), Ledger(), limits(), list[str]()
    behind = replace(BACKEND, name="llamacpp", model="small", context_window=window)
    calls = {"breaker_failures": failures}

    async def next_() -> GuardedChat:
        opened.append("llamacpp")
        stands = desk(two.transports, behind, ledger=ledger, budget=budget)
        return chat_of(stands).scoped(Scope("nobody", "", ""))

    chat = chat_of(desk(one.transports, ledger=ledger, budget=budget, calls=calls), next_)
    return Pair(chat, one, two, ledger, opened)


WAYS: dict[str, Callable[[GuardedChat], Awaitable[Any]]] = {
    "ainvoke": lambda chat: chat.ainvoke("q"),
    "astream": lambda chat: drain(chat.astream("q")),
    "invoke": lambda chat: blocking(lambda: chat.invoke("q")),  # where a loop runs, too
    "stream": lambda chat: drain(chat.stream("q")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault",
    [DOWN, Said("a b", breaks_after=1), Said("oops", status=500), Said(status=503)],
    ids=lambda said: f"{said.error} {said.status}",
)
async def test_where_a_server_stays_down_the_next_one_answers(fault: Said, way: str) -> None:
    p = pair([fault] * 3, ["fine"])
    reply = await WAYS[way](p.chat)
    assert (reply.text, reply.response_metadata["backend"]) == ("fine", "llamacpp")
    assert [(c.backend, c.model, c.outcome, c.tries) for c in p.calls] == [
        ("vllm", "scripted", "failed", 3),
        ("llamacpp", "small", "ok", 1),
    ]
    assert all(c.scope is p.calls[0].scope for c in p.calls)
    (remark,) = p.remarks
    assert (remark.scope, remark.kind) == (SCOPE, "failover")
    assert remark.detail.startswith("vllm → llamacpp: vllm at http://127.0.0.1:8000/v1 ")
    assert remark.detail.isprintable()


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_lets_its_time_pass_is_asked_once_where_another_stands_behind_it(
    way: str,
) -> None:
    p = pair([SLOW], ["fine"])
    assert (await WAYS[way](p.chat)).text == "fine"
    assert [(c.backend, c.tries) for c in p.calls] == [("vllm", 1), ("llamacpp", 1)]
    assert p.calls[0].attempts[0].failure == "timeout"


async def test_a_count_that_takes_too_long_goes_on_at_once_as_well() -> None:
    p = pair(ScriptedServer([], counts=[SLOW]), ["fine"])
    assert (await p.chat.ainvoke("q")).text == "fine"
    assert [seen.path for seen in p.first.requests] == ["/tokenize"]


async def test_a_server_that_stands_alone_is_asked_again_though_it_let_its_time_pass() -> None:
    server = ScriptedServer([SLOW, SLOW, "late"])
    assert (await chat_of(desk(server.transports)).ainvoke("q")).text == "late"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "refusal",
    [Said(status=400), Said(status=401), Said(status=404), Said(status=429), HTML],
    ids=lambda said: f"{said.status} {said.content_type}",
)
async def test_what_another_server_would_not_mend_goes_nowhere(refusal: Said, way: str) -> None:
    p = pair([refusal] * 3, ["never"])
    with pytest.raises(BackendError):
        await WAYS[way](p.chat)
    assert (p.opened, p.remarks, p.second.requests) == ([], [], [])


async def test_a_refused_budget_goes_nowhere() -> None:
    p = pair([], ["never"])
    with pytest.raises(BudgetExceeded):
        await p.chat.ainvoke([("system", "word " * 40_000), ("user", "q")])
    assert p.opened == []


async def test_nothing_is_opened_before_it_is_needed() -> None:
    p = pair(["fine"], [])
    await p.chat.ainvoke("q")
    assert p.opened == []


async def test_the_next_server_is_asked_the_same_fitted_to_its_own_window() -> None:
    p = pair([DOWN] * 3, [Said(tool_calls=[("look", {"query": "x"})])], window=1_024)
    vendor: Any = p.chat
    sources = "\n".join(block("source", "w " * 300, id=f"E{n}") for n in (1, 2, 3))
    reply = await vendor.bind_tools([look], tool_choice="look").ainvoke(f"{sources}\nq", stop=["x"])
    (first,), (second,) = p.first.chats[:1], p.second.chats
    assert [call["args"] for call in reply.tool_calls] == [{"query": "x"}]
    assert reply.response_metadata["dropped"] == ["E3"]
    assert [c.dropped for c in p.calls] == [(), ("E3",)]
    for key in ("tools", "tool_choice", "stop"):
        assert first[key] == second[key]


async def test_what_one_server_refuses_the_next_one_is_still_asked_for() -> None:
    p = pair([Said("no response_format here", status=400), *[DOWN] * 3], ["{}"])
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    await p.chat.bind(response_format=form).ainvoke("q")
    assert ["response_format" in body for body in p.first.chats] == [True, False, False, False]
    assert p.second.chats[0]["response_format"] == form
    assert [r.kind for r in p.remarks] == ["step_down", "failover"]


async def test_without_a_next_server_the_failure_is_the_first_ones() -> None:
    async def none() -> None:
        return None

    for next_ in (none, None):
        chat = chat_of(desk(ScriptedServer([DOWN] * 3).transports), next_)
        with pytest.raises(BackendUnavailable, match=r"^vllm at .* cannot be reached"):
            await chat.ainvoke("q")


async def test_a_chain_is_followed_to_its_end_and_its_last_failure_is_said() -> None:
    ledger, budget, names = Ledger(), limits(), ("vllm", "llamacpp", "ollama")
    chat: GuardedChat | None = None
    for name in reversed(names):
        server = ScriptedServer([DOWN] * 3)
        stands = desk(server.transports, replace(BACKEND, name=name), ledger=ledger, budget=budget)
        chat = chat_of(stands, opening(chat))
    assert chat is not None
    with pytest.raises(BackendUnavailable, match=r"^ollama at .*DOCMIND_OLLAMA__BASE_URL"):
        await chat.ainvoke("q")
    assert [c.backend for c in ledger.calls("q1")] == list(names)
    assert [r.detail.partition(":")[0] for r in ledger.remarks("q1")] == ["vllm → llamacpp", "llamacpp → ollama"]


def opening(chat: GuardedChat | None) -> Callable[[], Awaitable[GuardedChat | None]]:
    async def next_() -> GuardedChat | None:
        return chat

    return next_


async def test_scoped_copies_keep_the_chain() -> None:
    p = pair([DOWN] * 3, ["fine"])
    other = Scope("q7", "t1", "router")
    assert (await p.chat.scoped(other).ainvoke("q")).text == "fine"
    assert [c.scope for c in p.ledger.calls("q7")] == [other, other]


async def test_a_call_on_nobodys_account_stays_one_call_for_the_ledger() -> None:
    p = pair([DOWN] * 3, ["fine"])
    free = p.chat.model_copy()
    free._scope = None
    reply = await free.ainvoke("q", {"metadata": {"question_id": "q8"}})
    assert reply.text == "fine"
    assert [c.backend for c in p.ledger.calls("q8")] == ["vllm", "llamacpp"]


async def test_text_is_counted_by_the_next_server_where_the_first_is_down() -> None:
    p = pair(ScriptedServer([], counts=[DOWN]), [])
    assert (await p.chat.acount_text("one two")).tokens == 2
    assert p.opened == ["llamacpp"]


async def test_a_call_that_cannot_be_counted_goes_on_to_the_next_server() -> None:
    p = pair(ScriptedServer([], counts=[DOWN] * 3), ["fine"])
    assert (await p.chat.ainvoke("q")).text == "fine"
    assert [(c.outcome, c.tries, len(c.count_failures)) for c in p.calls] == [("failed", 0, 3), ("ok", 1, 0)]


def test_a_blocking_caller_without_a_loop_goes_on_as_well() -> None:
    p = pair([DOWN] * 3, ["fine"])
    assert p.chat.invoke("q").text == "fine"
    assert [c.backend for c in p.calls] == ["vllm", "llamacpp"]


async def test_a_dead_server_is_left_alone_and_its_calls_go_on_at_once() -> None:
    p = pair([DOWN] * 9, ["a", "b"], failures=2)
    await p.chat.ainvoke("q")
    asked = len(p.first.requests)
    assert (await p.chat.ainvoke("q")).text == "b"
    assert len(p.first.requests) == asked
    assert [(c.outcome, c.tries) for c in p.calls] == [("failed", 2), ("ok", 1), ("refused", 0), ("ok", 1)]
    assert "cannot be reached" in p.remarks[0].detail
    assert "is left alone after 2 failed tries in a row" in p.remarks[1].detail


@pytest.mark.parametrize(
    ("faults", "is_open"),
    [
        ([DOWN] * 3, True),
        ([Said(status=500), Said(status=502), Said(status=504)], True),
        ([Said("one", breaks_after=1)] * 3, True),
        ([Said(error=httpx2.ReadTimeout(""))] * 3, True),
        ([Said(status=503)] * 3, False),
        ([Said(status=429)] * 3, False),
        ([Said(status=408)] * 3, False),
        ([DOWN, DOWN, Said(status=400)], False),
        ([DOWN, DOWN, HTML], False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else " ".join(str(said.error or said.status) for said in value),
)
async def test_only_signs_of_death_open_the_breaker(faults: Sequence[Said], is_open: bool) -> None:
    stands = desk(ScriptedServer(faults).transports, calls={"breaker_failures": 3})
    with pytest.raises(BackendError):
        await chat_of(stands).ainvoke("q")
    assert stands.breaker.is_open is is_open


async def test_a_call_that_waits_to_try_again_stops_when_the_breaker_opened_meanwhile() -> None:
    server = ScriptedServer([DOWN, "never"])
    stands = desk(server.transports, calls={"breaker_failures": 3})

    class WhileOthersFail(wait_base):
        def __call__(self, retry_state: RetryCallState) -> float:
            for _ in range(2):
                stands.breaker.leave(stands.breaker.enter("others"), Sign(alive=False, said="refused"))
            return 0.0

    waiting = replace(stands, retries=Retries(wait=WhileOthersFail()))
    with pytest.raises(LeftAlone, match="left alone after 3 failed tries in a row"):
        await chat_of(waiting).ainvoke("q")
    assert len(server.chats) == 1


async def test_a_server_that_is_left_alone_is_not_counted_at_either() -> None:
    server = ScriptedServer([DOWN] * 2)
    chat = chat_of(desk(server.transports, calls={"breaker_failures": 2}))
    with pytest.raises(BackendUnavailable):
        await chat.ainvoke("q")
    asked = len(server.requests)
    for call in (chat.ainvoke("other"), chat.acount_text("text")):
        with pytest.raises(LeftAlone):
            await call
    with pytest.raises(LeftAlone):
        chat.get_num_tokens("text")
    assert len(server.requests) == asked
