"""What the doctor tries on a running server: tool calls, schemas, the prefix cache, token counts.

Each trial is built so that only the thing itself can pass it. A schema allows one text only, with a random word that
stands in no message; the prompt that is sent twice begins with a random word, so nobody has its prefix yet; tokens are
counted here, by the server, and by the reply's usage. Calls are short (`REPLY_TOKENS` at most) and hold no word of a
document.
"""

import json
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any, cast

from pydantic import BaseModel, Field

from infra.errors import BackendError, ConfigurationError
from infra.llm.counting.local import LocalTokens, open_local
from infra.llm.counting.messages import ContentFormat, Unrenderable
from infra.llm.counting.rendering import TemplateTooSlow
from infra.llm.servers import vllm
from infra.llm.servers.probe import Probe
from infra.llm.tokens import chat_body
from infra.text.plain import short_line
from infra.vllm.doctor_checks import CHAT_SECONDS, QUICK_SECONDS, Case, Line, Verdict, told
from infra.vllm.exposition import Metrics
from infra.vllm.wire import Answer

TRIES = 4
"""What a schema leaves open, such as blanks, a model may fill until its reply is cut: then it is asked again."""
REPLY_TOKENS = 256
LONGEST_PREFIX_TOKENS = 8_192
_REFUSED = 400
_BLOCK_TOKENS = 128
"""Of a KV-cache block, where the server does not say; the CPU build's, the largest that is usual."""
_FORMS: tuple[ContentFormat, ...] = ("string", "openai")
_HELLO = "Say hello, and nothing else."


class _Details(BaseModel):
    cached_tokens: int | None = Field(default=None, ge=0)


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    prompt_tokens_details: _Details | None = None


class _Function(BaseModel):
    name: str
    arguments: str


class _Call(BaseModel):
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Chat(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Count(BaseModel):
    count: int = Field(ge=0)


def tool_calls(case: Case) -> Iterator[Line]:
    """Force a call with an argument that only its schema names; see whether ``auto`` is taken at all."""
    name, word = "tool calls", _word()
    function = {"name": "report", "description": "Report.", "parameters": _only(word), "strict": True}
    tools = [{"type": "function", "function": function}]
    cure = "start with --enable-auto-tool-choice --tool-call-parser NAME (docmind args knows the model's)"
    auto = case.chat(_HELLO, tools=tools, tool_choice="auto", max_tokens=1)
    if not auto.ok:
        yield Line(name, _verdict(auto), f"tool_choice auto: {told(auto)}", cure)
        return
    forced = {"tools": tools, "tool_choice": {"type": "function", "function": {"name": "report"}}}
    yield _constrained(name, word, lambda more: case.chat(_HELLO, **forced, **more), cure)


def structured_output(case: Case) -> Iterator[Line]:
    """Ask for something that a schema does not allow: only a server that holds to it gives the schema's word."""
    word = _word()
    form = {"type": "json_schema", "json_schema": {"name": "report", "schema": _only(word), "strict": True}}
    cure = "use vLLM 0.12 or newer, which holds a reply to response_format by itself"
    yield _constrained("structured output", word, lambda more: case.chat(_HELLO, response_format=form, **more), cure)


def prefix_cache(case: Case) -> Iterator[Line]:
    """Send a long prompt twice: the second time it must come from the cache, and ``usage`` must say how much did."""
    before = case.metrics()
    prompt = _long_prompt(case, before.labels("vllm:cache_config_info").get("block_size", ""))
    answers = [case.chat(prompt, max_tokens=1) for _ in range(2)]
    usages = [_usage(answer) for answer in answers]
    if usages[0] is None or usages[1] is None:
        found = told(next((answer for answer in answers if not answer.ok), answers[0]))
        yield from (Line(name, "unknown", found) for name in ("prefix caching", "cached tokens"))
        return
    details = usages[1].prompt_tokens_details
    cached = details.cached_tokens if details else None
    ours = usages[0].prompt_tokens + usages[1].prompt_tokens
    taken = _hits(case.metrics(), before, ours) if cached is None else cached
    yield _caching(taken, usages[1].prompt_tokens)
    yield _details(cached, taken)


def token_counts(case: Case) -> Iterator[Line]:
    """Count one prompt three times: here, at ``/tokenize``, and as ``usage`` says that it was."""
    name, cure = "token counts", "set DOCMIND_VLLM__TOKENIZER to the folder of the model that is served"
    body = case.body(f"How many tokens is this? 7,5 % of 1.234,56 €; naïve 東京 🙂 {_word()}")
    counted = case.server.post("/tokenize", chat_body(body, body["model"]), seconds=QUICK_SECONDS).read(_Count)
    usage = _usage(case.server.post("/v1/chat/completions", body | {"max_tokens": 1}, seconds=CHAT_SECONDS))
    try:
        here = _local_count(case, body, counted.count if counted else None)
    except (BackendError, ConfigurationError, Unrenderable, TemplateTooSlow) as error:
        yield Line(name, "fail", f"not counted here: {short_line(str(error))}", cure)
        return
    figures = {"here": here, "/tokenize": counted.count if counted else None}
    figures |= {"usage": usage.prompt_tokens if usage else None}
    found = ", ".join(f"{place} {'unknown' if count is None else f'{count:,}'}" for place, count in figures.items())
    known = {count for count in figures.values() if count is not None}
    if len(known) > 1:
        yield Line(name, "fail", found, cure)
    elif None in figures.values():
        yield Line(name, "unknown", found, cure if here is None else "")
    else:
        yield Line(name, "pass", found)


TRIALS: dict[tuple[str, ...], Callable[[Case], Iterator[Line]]] = {
    ("tool calls",): tool_calls,
    ("structured output",): structured_output,
    ("prefix caching", "cached tokens"): prefix_cache,
    ("token counts",): token_counts,
}
"""In their order, by the names of their lines."""


def _word() -> str:
    return f"docmind-{token_hex(6)}"


def _only(word: str) -> dict[str, Any]:
    """Return a schema that one text fits."""
    return {
        "type": "object",
        "properties": {"code": {"type": "string", "enum": [word]}},
        "required": ["code"],
        "additionalProperties": False,
    }


def _constrained(name: str, word: str, ask: Callable[[dict[str, Any]], Answer], cure: str) -> Line:
    """Ask until a reply is whole, from the second try on against repetitions; it passes where its schema allows it."""
    for tried in range(TRIES):
        again = {"temperature": 1, "frequency_penalty": 2, "seed": tried} if tried else {}
        answer = ask({"max_tokens": REPLY_TOKENS, **again})
        chat = answer.read(_Chat)
        if chat is None:
            return Line(name, _verdict(answer), told(answer), cure)
        choice = chat.choices[0]
        calls = choice.message.tool_calls
        text = calls[0].function.arguments if calls else choice.message.content or ""
        if _code(text) == word:
            return Line(name, "pass", "the reply is the one that its schema allows")
        if choice.finish_reason != "length":
            return Line(name, "fail", f"the reply is not what its schema allows: {short_line(text, 60)!r}", cure)
    return Line(name, "unknown", f"{TRIES} replies were cut at {REPLY_TOKENS} tokens")


def _verdict(refused: Answer) -> Verdict:
    """Return what a refusal shows: 400 says that it cannot, anything else nothing."""
    return "fail" if refused.status == _REFUSED else "unknown"


def _code(text: str) -> object:
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return fields.get("code") if len(fields) == 1 else None


def _usage(answer: Answer) -> _Usage | None:
    chat = answer.read(_Chat)
    return chat.usage if chat else None


def _long_prompt(case: Case, block_size: str) -> str:
    """Return a prompt of about three blocks of the KV cache, or half of the window where that is less."""
    block = int(block_size) if block_size.isascii() and block_size.isdigit() and len(block_size) < 8 else _BLOCK_TOKENS  # noqa: PLR2004
    window = case.served.window if case.served and case.served.window else LONGEST_PREFIX_TOKENS
    tokens = min(3 * max(block, _BLOCK_TOKENS), window // 2, LONGEST_PREFIX_TOKENS)
    return f"{_word()} " + "7 " * (tokens // 2)  # a digit and a blank: one or two tokens to any tokenizer


def _hits(metrics: Metrics, before: Metrics, ours: int) -> float | None:
    """Return the tokens that came from the cache; None where more than ``ours`` were looked up: others asked, too."""
    queries = metrics.delta("vllm:prefix_cache_queries_total", before)
    return metrics.delta("vllm:prefix_cache_hits_total", before) if queries is not None and queries <= ours else None


def _caching(taken: float | None, prompt_tokens: int) -> Line:
    if taken is None:
        return Line("prefix caching", "unknown", "usage does not say it, nor does /metrics where others ask")
    found = f"{taken:,.0f} of {prompt_tokens:,} tokens of a repeated prompt came from the cache"
    if taken > 0:
        return Line("prefix caching", "pass", found)
    return Line("prefix caching", "fail", found, "start with --enable-prefix-caching (vLLM's default)")


def _details(cached: int | None, taken: float | None) -> Line:
    if cached is not None:
        return Line("cached tokens", "pass", "usage.prompt_tokens_details tells them")
    cure = "start with --enable-prompt-tokens-details"
    if taken:
        return Line("cached tokens", "fail", "usage.prompt_tokens_details does not tell them", cure)
    return Line("cached tokens", "unknown", "usage.prompt_tokens_details is not there; nothing was cached", cure)


def _local_count(case: Case, body: dict[str, Any], wanted: int | None) -> int | None:
    """Return our count, in the form of contents that agrees with the server's where one does; None: no tokenizer."""
    probe = Probe("vllm", case.server.base_url, case.server.clients, seconds=QUICK_SECONDS)
    folder = vllm.find(probe, case.settings, "").tokenizer
    if folder is None:
        return None
    local = open_local(folder)
    counts = [count for form in _FORMS if (count := _counted(local, body, form)) is not None]
    return wanted if wanted in counts else next(iter(counts), None)


def _counted(local: LocalTokens, body: dict[str, Any], form: ContentFormat) -> int | None:
    try:
        return local.count_chat(chat_body(body, body["model"]), form)
    except Unrenderable:
        return None
