"""A streamed reply is whole or it is nothing: what breaks is asked for again, and no word of it is used."""

import json
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler

from infra.errors import BackendError, BackendUnavailable
from infra.llm.budget import Spent
from tests.fakes import Said, refusal
from tests.infra.llm.bench import WAYS, bench, say


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("breaks_after", [0, 1, 2])
async def test_a_stream_that_breaks_anywhere_is_asked_for_again_and_nothing_of_it_is_used(
    way: str, breaks_after: int
) -> None:
    b = bench([Said("one two", breaks_after=breaks_after), "three"])
    assert await say(b, way) == "three"
    assert [attempt.failure for attempt in b.call.attempts] == ["broken", None]
    assert b.call.attempts[0].error == "ReadError: the connection broke"
    assert b.spent == Spent(3_005 + 6, 0, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_breaks_three_times_brings_nothing(way: str) -> None:
    b = bench([Said("one two three", breaks_after=2)] * 3)
    with pytest.raises(BackendUnavailable, match=r"broke off its reply \(ReadError: the connection broke\)"):
        await say(b, way)
    assert (b.call.tries, b.call.outcome) == (3, "failed")
    assert b.spent == Spent(3 * 3_005, 0, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_just_stops_is_not_taken_for_whole(way: str) -> None:
    b = bench([Said("one two", finish_reason=None), "three"])
    assert await say(b, way) == "three"
    assert b.call.attempts[0].error == "StreamBroken: the stream ended without a finish reason"


async def test_what_a_broken_try_used_is_not_taken_for_what_the_next_one_used() -> None:
    b = bench([Said("one two", finish_reason=None), Said("three", usage=False)])
    await b.chat.ainvoke("q")
    assert b.call.completion_tokens == 0
    assert b.spent == Spent((5 + 2) + 3_005, 0, 1)


async def test_a_refusal_after_the_first_word_counts_in_full() -> None:
    word = json.dumps({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "one"}}]})
    events = f"data: {word}\n\ndata: {json.dumps(refusal(400, 'mid-stream'))}\n\n"
    b = bench([Said(body=events.encode(), content_type="text/event-stream")])
    with pytest.raises(BackendError, match="answered 400: mid-stream"):
        await b.chat.ainvoke("q")
    assert b.spent == Spent(3_005, 0, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_first_word_that_comes_too_late_is_not_waited_for(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.llm.stream.time", SimpleNamespace(monotonic=count(0.0, 1.0).__next__))
    b = bench(["fine"] * 3, calls={"first_token_seconds": 1e-9})
    with pytest.raises(BackendUnavailable, match="raise DOCMIND_CALLS__FIRST_TOKEN_SECONDS"):
        await say(b, way)
    assert b.call.tries == 3


async def test_callers_see_no_word_of_a_stream_before_it_is_whole() -> None:
    class Listening(AsyncCallbackHandler):
        heard: list[str] = []  # noqa: RUF012 - one test's

        async def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **_: Any) -> None:
            self.heard.append(str(token))

    b = bench([Said("lost words", breaks_after=2), "kept words"])
    async for _ in b.chat.astream("q", {"callbacks": [Listening()]}):
        pass
    assert [word for word in Listening.heard if word] == ["kept", " words"]


async def test_a_reply_far_longer_than_was_asked_for_is_not_held() -> None:
    b = bench([Said("word " * 300)])
    with pytest.raises(BackendError, match="more than 288 pieces where 8 were asked for"):
        await b.chat.bind(max_tokens=8).ainvoke("q")
    assert b.call.tries == 1


@pytest.mark.parametrize(("code", "tries"), [(400, 1), (500, 3)])
async def test_an_error_event_inside_a_stream_counts_as_its_status_says(code: int, tries: int) -> None:
    event = b"data: " + json.dumps(refusal(code, "mid-stream")).encode() + b"\n\n"
    b = bench([Said(body=event, content_type="text/event-stream")] * 3)
    with pytest.raises(BackendError, match="mid-stream"):
        await say(b, "astream")
    assert b.call.tries == tries
