"""What the doctor tries on a server: right, and with one thing wrong at a time."""

import re
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.infra.vllm.examining import Changed, at, lines, refusing, verdicts


def test_a_right_server_passes_every_line_but_the_count_here_that_has_no_tokenizer():
    assert verdicts(Changed()) == {"token counts": "unknown"}
    assert "DOCMIND_VLLM__TOKENIZER" in lines(Changed())["token counts"].cure


def test_calls_are_few_and_short_and_hold_no_word_of_a_document():
    server = Changed()
    lines(server)
    chats = [asked for path, asked in server.asked if path.endswith("/chat/completions")]
    assert len(chats) <= 10
    assert all(chat["max_tokens"] <= 256 for chat in chats)


def test_a_server_that_does_not_take_tools_fails_with_vllms_own_words():
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    refusal = {"error": {"message": said, "type": "BadRequestError", "param": None, "code": 400}}
    auto = refusing("/v1/chat/completions", 400, refusal, lambda asked: asked.get("tool_choice") == "auto")
    line = lines(Changed(auto))["tool calls"]
    assert line.verdict == "fail"
    assert "--enable-auto-tool-choice" in line.found
    assert "--tool-call-parser" in line.cure


def test_a_call_with_another_argument_fails():
    def change(reply: Any) -> Any:
        reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"code": "docmind-0"}'
        return reply

    forced = at("/v1/chat/completions", change, lambda asked: isinstance(asked.get("tool_choice"), dict))
    assert verdicts(Changed(forced))["tool calls"] == "fail"


@pytest.mark.parametrize("text", ["Hello!", '{"code": "hello"}', "null", "[]", '{"code": "', "\x00", "[" * 5_000])
def test_a_reply_that_the_schema_does_not_allow_fails(text: str):
    def change(reply: Any) -> Any:
        reply["choices"][0]["message"]["content"] = text
        return reply

    ignoring = at("/v1/chat/completions", change, lambda asked: "response_format" in asked)
    line = lines(Changed(ignoring))["structured output"]
    assert line.verdict == "fail"
    assert "response_format" in line.cure


def test_replies_that_are_cut_are_asked_for_again_and_then_unknown():
    def change(reply: Any) -> Any:
        reply["choices"][0] |= {"finish_reason": "length", "message": {"role": "assistant", "content": "{   "}}
        return reply

    server = Changed(at("/v1/chat/completions", change, lambda asked: "response_format" in asked))
    assert lines(server)["structured output"].verdict == "unknown"
    assert [asked["temperature"] for _, asked in server.asked if "response_format" in asked] == [0, 1, 1, 1]


def test_a_server_that_keeps_no_prefixes_fails():
    found = lines(Changed(prefix_cache=False))
    assert (found["prefix caching"].verdict, found["cached tokens"].verdict) == ("fail", "pass")
    assert "--enable-prefix-caching" in found["prefix caching"].cure


def _without_details(reply: Any) -> Any:
    reply["usage"]["prompt_tokens_details"] = None
    return reply


def test_a_server_that_keeps_prefixes_and_does_not_tell_fails_for_that_alone():
    found = lines(Changed(at("/v1/chat/completions", _without_details)))
    assert (found["prefix caching"].verdict, found["cached tokens"].verdict) == ("pass", "fail")
    assert found["cached tokens"].cure == "start with --enable-prompt-tokens-details"


@pytest.mark.parametrize("prefix_cache", [True, False])
def test_what_others_take_from_the_cache_meanwhile_proves_nothing(*, prefix_cache: bool):
    looks = count()

    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path == "/metrics":
            return httpx2.Response(200, text=_others(response.read().decode(), 5_000 * next(looks)))
        return untold(request, response)

    untold = at("/v1/chat/completions", _without_details)
    found = lines(Changed(change, prefix_cache=prefix_cache))
    assert (found["prefix caching"].verdict, found["cached tokens"].verdict) == ("unknown", "unknown")


def _others(metrics: str, tokens: int) -> str:
    """What /metrics says after others had so many tokens looked up and found."""
    return re.sub(
        r"(?m)^(vllm:prefix_cache_(?:queries|hits)_total\S*) (\S+)$",
        lambda line: f"{line[1]} {float(line[2]) + tokens}",
        metrics,
    )


def test_counts_that_differ_fail_with_the_figures():
    def change(reply: Any) -> Any:
        return reply | {"count": reply["count"] + 1}

    line = lines(Changed(at("/tokenize", change)))["token counts"]
    assert line.verdict == "fail"
    assert line.found.startswith("here unknown, /tokenize ")


def test_a_folder_without_a_tokenizer_fails_and_names_the_setting(tmp_path: Path):
    line = lines(Changed(), tokenizer=tmp_path)["token counts"]
    assert (line.verdict, "DOCMIND_VLLM__TOKENIZER" in line.cure) == ("fail", True)
