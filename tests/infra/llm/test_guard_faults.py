"""The guard when the server fails: what is tried again, what is said, what is charged."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage
from tenacity import RetryCallState, wait_fixed

from infra.errors import BackendError, BackendUnavailable
from infra.llm.account import CallAccount
from infra.llm.backends import Backend, Transports, build_desk, chat_over
from infra.llm.budget import Budget, Limits, Spent
from infra.llm.desk import Retries
from infra.llm.ledger import Ledger
from infra.settings import BackendKind, load_settings
from tests.fakes import URL, Said, ScriptedServer
from tests.infra.llm.bench import SCOPE, WAYS, bench, chat_of, desk, look, say

WHO = f"vllm at {URL}"
PASSING = {
    "refused connection": Said(error=httpx2.ConnectError("refused")),
    "slow connection": Said(error=httpx2.ConnectTimeout("slow")),
    "silence": Said(error=httpx2.ReadTimeout("silence")),
    "reset": Said(error=httpx2.ReadError("reset")),
    "408": Said("slow", status=408),
    "429": Said("busy", status=429),
    "500": Said("oops", status=500),
    "503": Said("The engine is currently busy", status=503),
}
HTML = Said(body=b"<html><title>Welcome to nginx!</title></html>", content_type="text/html")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", PASSING)
async def test_what_can_pass_is_tried_again(fault: str, way: str) -> None:
    b = bench([PASSING[fault], PASSING[fault], "fine"])
    assert (await say(b, way)).strip() == "fine"
    assert len(b.server.chats) == 3
    assert (b.call.outcome, b.call.tries, b.call.error) == ("ok", 3, "")
    assert b.spent.calls == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", PASSING)
async def test_three_tries_are_the_end(fault: str, way: str) -> None:
    b = bench([PASSING[fault]] * 4)
    with pytest.raises(BackendError, match=f"^{WHO} "):
        await say(b, way)
    assert len(b.server.chats) == 3
    assert (b.call.outcome, b.call.tries) == ("failed", 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 307])
async def test_what_cannot_pass_is_not_tried_again(status: int, way: str) -> None:
    b = bench([Said("no", status=status), "never"])
    with pytest.raises(BackendError) as failed:
        await say(b, way)
    assert str(failed.value).startswith(f"{WHO} answered {status}: ")
    assert not isinstance(failed.value, BackendUnavailable)
    assert (b.call.tries, b.call.outcome, b.call.error) == (1, "failed", str(failed.value))
    assert b.spent == Spent(0, 0, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "garbage",
    [
        HTML,
        Said(body=b"{", content_type="application/json"),
        Said(body=b"[]"),
        Said(body=b'{"choices": null}'),
        Said(body=b'{"choices": []}'),
        Said(body=b'{"object": "list", "data": []}'),
        Said(body=b'{"choices": [{"message": 3}]}'),
        Said(body=b""),
        Said(body=b"data: {\n\n", content_type="text/event-stream"),
        Said(body=b"\xff\xfe", content_type="application/octet-stream"),
    ],
    ids=lambda said: said.body.decode("utf-8", "replace")[:30],
)
async def test_a_reply_that_is_no_chat_completion_is_said_so(garbage: Said, way: str) -> None:
    b = bench([garbage] * 3)
    with pytest.raises(BackendError, match=f"^{WHO} (answered what is not a chat completion|broke off its reply) "):
        await say(b, way)
    assert b.call.outcome == "failed"


async def test_the_words_of_each_failure_name_server_cause_and_setting() -> None:
    async def words(said: Said) -> str:
        with pytest.raises(BackendError) as failed:
            await bench([said] * 3).chat.ainvoke("q")
        return str(failed.value)

    help_line = "start the server, set DOCMIND_VLLM__BASE_URL, or use DOCMIND_BACKEND=engine"
    assert await words(PASSING["refused connection"]) == (
        f"{WHO} cannot be reached (ConnectError: refused); {help_line}"
    )
    assert await words(PASSING["silence"]) == (
        f"{WHO} did not answer in time (no word within 300 s); raise DOCMIND_CALLS__FIRST_TOKEN_SECONDS or {help_line}"
    )
    assert await words(PASSING["reset"]) == f"{WHO} broke off its reply (ReadError: reset); see its log, or {help_line}"
    assert await words(PASSING["503"]) == (
        f"{WHO} answered 503: The engine is currently busy; see the server's log, or use DOCMIND_BACKEND=engine"
    )
    assert await words(Said("Unauthorized", status=401)) == (
        f"{WHO} answered 401: Unauthorized; set DOCMIND_VLLM__API_KEY"
    )
    assert await words(Said(body=b'{"error": "Unauthorized"}', status=401)) == (
        f"{WHO} answered 401: Unauthorized; set DOCMIND_VLLM__API_KEY"
    )
    assert await words(Said("The model `nope` does not exist.", status=404)) == (
        f"{WHO} answered 404: The model `nope` does not exist.; "
        "check DOCMIND_VLLM__MODEL and DOCMIND_VLLM__BASE_URL (it ends in /v1)"
    )
    assert await words(Said(error=httpx2.ConnectTimeout("slow"))) == (
        f"{WHO} cannot be reached (ConnectTimeout: slow); {help_line}"
    )
    assert await words(Said("auto tool choice requires a flag", status=400)) == (
        f"{WHO} answered 400: auto tool choice requires a flag; "
        "check DOCMIND_VLLM__BASE_URL, DOCMIND_VLLM__MODEL and the server's flags"
    )
    assert "nginx" in await words(HTML)


async def test_a_servers_long_words_are_cut_to_one_clean_line() -> None:
    with pytest.raises(BackendError) as failed:
        await bench([Said("a\x1b[31m\n" * 5_000, status=400)]).chat.ainvoke("q")
    text = str(failed.value)
    assert text.isprintable()
    assert len(text) < 500


async def test_tries_whose_use_is_unknown_count_in_full_and_refused_ones_not_at_all() -> None:
    b = bench([Said(error=httpx2.ReadTimeout("silence")), Said("busy", status=429), "a b"])
    await b.chat.ainvoke("q")
    assert b.spent == Spent(3_005 + 0 + 7, 0, 1)


async def test_a_retry_that_the_budget_does_not_allow_never_leaves() -> None:
    b = bench(
        [Said(error=httpx2.ReadTimeout("silence"))] * 3, budget=Budget(Limits(question_tokens=3_010, question_calls=9))
    )
    with pytest.raises(BackendUnavailable, match="did not answer in time"):  # another back end may help
        await b.chat.ainvoke("q")
    assert len(b.server.chats) == 1
    assert (b.call.outcome, b.call.tries) == ("failed", 1)


async def test_counts_that_succeed_do_not_keep_a_dead_server_from_being_left_alone() -> None:
    b = bench(lambda _: Said("boom", status=500))
    for _ in range(4):
        with pytest.raises(BackendError):
            await b.chat.ainvoke("q")
    assert len(b.server.chats) == 5


async def test_a_reply_nested_without_end_is_no_chat_completion() -> None:
    b = bench(lambda _: Said(body=b"data: " + b"[" * 200_000 + b"\n\n", content_type="text/event-stream"))
    with pytest.raises(BackendError):
        await b.chat.ainvoke("q")


@pytest.mark.parametrize("way", WAYS)
async def test_a_count_that_fails_is_tried_again_too(way: str) -> None:
    busy = Said("busy", status=503)
    b = bench(ScriptedServer(["fine"], counts=[busy, busy]))
    assert (await say(b, way)).strip() == "fine"
    assert b.server.paths == ["/tokenize"] * 3 + ["/v1/chat/completions"]
    assert (b.call.tries, b.call.counted_tokens) == (1, 5)
    assert [(failed.failure, failed.status) for failed in b.call.count_failures] == [("status", 503)] * 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_that_cannot_be_counted_never_leaves(way: str) -> None:
    down = Said(error=httpx2.ConnectError("refused"))
    b = bench(ScriptedServer(["never"], counts=[down] * 3))
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        await say(b, way)
    assert b.server.chats == []
    assert (b.call.outcome, b.call.tries) == ("failed", 0)
    assert [failed.failure for failed in b.call.count_failures] == ["unreachable"] * 3


async def test_a_server_that_cannot_count_still_answers() -> None:
    b = bench(ScriptedServer(["fine"], counts=False))
    assert await say(b, "ainvoke") == "fine"
    assert b.call.counted_tokens > b.call.prompt_tokens == 5


class Stalling(httpx2.AsyncBaseTransport):
    """A server that takes a request and never answers."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/tokenize":
            return httpx2.Response(404)
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody answers here")


async def test_a_cancelled_call_is_settled_and_entered() -> None:
    ledger, budget = Ledger(), Budget(Limits(question_tokens=9_000, question_calls=9))
    stalling = Stalling()
    stalled = Transports(ScriptedServer(), stalling)
    chat = chat_of(desk(stalled, ledger=ledger, budget=budget))
    task = asyncio.create_task(chat.ainvoke("q"))
    await stalling.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (call,) = ledger.calls("q1")
    assert (call.outcome, call.tries, call.error) == ("failed", 1, "CancelledError")
    assert budget.spent("q1").reserved_tokens == 0
    assert budget.spent("q1").used_tokens > 3_000


def test_the_waits_are_one_two_and_four_seconds_and_a_little_more() -> None:
    class State:
        def __init__(self, attempt: int) -> None:
            self.attempt_number = attempt

    policy = Retries()
    wait: Any = policy.wait
    for attempt, seconds in ((1, 1), (2, 2), (3, 4)):
        waits = {wait(State(attempt)) for _ in range(20)}
        assert seconds <= min(waits) < max(waits) <= seconds + 0.25
    assert (policy.tries, policy.longest_seconds) == (3, 8)


def waiting(said: str, wait: float = 1.0) -> float:
    """Return the seconds until the next try after a 429 whose Retry-After says ``said``."""
    stands = replace(desk(None), retries=Retries(wait=wait_fixed(wait)))
    account = CallAccount(stands, SCOPE)
    response = httpx2.Response(429, headers={"retry-after": said}, request=httpx2.Request("POST", URL))
    state = RetryCallState(account.blocking_tries(), None, (), {})
    with pytest.raises(BackendError) as failed, stands.asking():
        response.raise_for_status()
    state.set_exception((BackendError, failed.value, None))
    return account._wait(state)


def test_a_servers_retry_after_is_followed_up_to_eight_seconds_and_never_shortens_a_wait() -> None:
    assert [waiting(said) for said in ("3", "0", "8", "9", "3600")] == [3, 1, 8, 8, 8]
    assert waiting("3", wait=4) == 4
    for nonsense in ("", "soon", "-1", "1e9", "9" * 400, "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert waiting(nonsense) == 1


@pytest.mark.parametrize("name", ["vllm", "llamacpp", "ollama", "openai"])
async def test_hints_name_the_settings_of_the_back_end_in_use(name: BackendKind) -> None:
    async def words(said: Said) -> str:
        stands = desk(ScriptedServer([said] * 3).transports, Backend(name, "m", name, 8_192, URL))
        with pytest.raises(BackendError) as failed:
            await chat_of(stands).ainvoke("q")
        return str(failed.value)

    own = f"DOCMIND_{name.upper()}__"
    assert f"set {own}BASE_URL," in await words(PASSING["refused connection"])
    assert f"check {own}MODEL and {own}BASE_URL" in await words(Said(status=404))
    assert f"check that {own}BASE_URL names" in await words(HTML)
    assert (f"check {own}BASE_URL" if name == "ollama" else f"set {own}API_KEY") in await words(Said(status=401))


async def test_an_error_in_our_own_code_is_not_blamed_on_the_server() -> None:
    def defect(_: dict[str, Any]) -> str:
        raise AssertionError("a defect")

    with pytest.raises(AssertionError, match="a defect"):
        await bench(defect).chat.ainvoke("q")


async def test_the_key_never_shows_in_an_error() -> None:
    settings = load_settings(vllm={"api_key": "sekrit"})
    server = ScriptedServer([Said("no", status=401)])
    backend = Backend("vllm", "scripted", "vllm", 8_192, URL)
    budget = Budget(Limits(question_tokens=9_000, question_calls=9))
    chat = chat_over(build_desk(backend, settings, Ledger(), budget, server.transports), settings)
    with pytest.raises(BackendError) as failed:
        await chat.ainvoke("q")
    assert "sekrit" not in f"{failed.value}{chat!r}"
    assert {seen.headers["authorization"] for seen in server.requests} == {"Bearer sekrit"}


@pytest.mark.parametrize("role", ["user", "system", "narrator"])
async def test_a_reply_is_the_models_whatever_role_the_server_gives_it(role: str) -> None:
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": role, "content": "fine"}}]}
    b = bench([Said(body=json.dumps(body).encode())])
    reply = await b.vendor.bind_tools([look]).ainvoke("q")
    assert isinstance(reply, AIMessage)
    assert (reply.text, reply.tool_calls) == ("fine", [])
