"""Chat completions: from a checked request to an answer, with the prompt counted, the cache asked and the pace set."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from infra.engine.exchange import Answer, Chunk
from infra.engine.generation import Generation, generate_calls, generate_text
from infra.engine.meters import Meters
from infra.engine.pace import Clock, Pace, Prefills
from infra.engine.prefix import PrefixCache
from infra.engine.protocol import ChatRequest, Message, NamedTool, Tool
from infra.engine.refusal import RefusedError, refused_value
from infra.engine.reply import decide
from infra.engine.template import Piece, prompt_chars, render
from infra.engine.tokenizer import TOKEN_CHARS, encode_all
from infra.engine.wire import DONE, Reply, Usage
from infra.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class _Job:
    """A reply that is being written."""

    reply: Reply
    prompt: list[int]
    pace: Pace
    arrived: float


class Chat:
    """Answers chat requests of one engine.

    Args:
        settings: the window, the speeds, whether prefixes are cached.
        clock: for the metrics.
        meters: where requests are counted.
    """

    def __init__(self, settings: EngineSettings, clock: Clock, meters: Meters) -> None:
        self._settings = settings
        self._clock = clock
        self._meters = meters
        self._cache = PrefixCache() if settings.prefix_cache else None
        self._prefills = Prefills() if settings.shared_prefill else None

    def answer(self, request: ChatRequest, arrived: float) -> Answer:
        """Return the answer to ``request``, which arrived at that time of the clock.

        Raises:
            RefusedError: the prompt does not fit, or a constraint cannot be satisfied.
        """
        prompt, limit = fitted_prompt(request, self._settings.context_window)
        cached = self._cache.cached_tokens(prompt) if self._cache else 0
        generation = _generate(request, limit)
        reply = Reply(generation, Usage(len(prompt), generation.tokens, cached))
        pace = Pace.of(self._settings, len(prompt) - cached)
        job = _Job(reply, prompt, self._prefills.behind(arrived, pace) if self._prefills else pace, arrived)
        if self._cache:
            self._cache.remember(prompt)
        if request.stream:
            with_usage = bool(request.stream_options and request.stream_options.include_usage)
            return Answer(
                200, {"content-type": "text/event-stream; charset=utf-8"}, self._paced(job, _events(reply, with_usage))
            )
        body = reply.whole()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        return Answer(200, headers, self._paced(job, [(1, b""), (generation.tokens, body)]))

    def _paced(self, job: _Job, writes: Iterable[tuple[int, bytes]]) -> Generator[Chunk, None, None]:
        """Give each write its time and measure when the reader comes back for the next."""
        usage, written, first, last, reason = job.reply.usage, 0, 0.0, 0.0, "abort"
        self._meters.started(usage.prompt_tokens, usage.cached_tokens)
        try:
            for tokens, data in writes:
                yield Chunk(job.pace.due_seconds(tokens), data)
                now = self._clock.now() - job.arrived
                if written == 0:
                    first = now
                    self._meters.first_token(first)
                elif tokens > written:
                    self._meters.next_token((now - last) / (tokens - written))
                written, last = tokens, now
            reason = "length" if job.reply.generation.finish == "length" else "stop"
            if self._cache:
                self._cache.remember([*job.prompt, *job.reply.generation.ids])
        finally:
            self._meters.ended(reason, usage.prompt_tokens, written, self._clock.now() - job.arrived, first)


def fitted_prompt(request: ChatRequest, window: int) -> tuple[list[int], int]:
    """Return the tokens of the prompt and how many the reply may take.

    Raises:
        RefusedError: as vLLM refuses: an output limit over the window, an empty or too long prompt, no room left.
    """
    named = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    asked: int | None = getattr(request, named)
    if asked is not None and asked > window:
        message = f"{named}={asked} cannot be greater than max_model_len={window}. Please request fewer output tokens."
        raise refused_value(message, named, asked)
    pieces = prompt_pieces(request.messages, request.tools, add_generation_prompt=request.add_generation_prompt)
    _check_chars(prompt_chars(pieces), window)
    prompt = encode_all(pieces)
    if len(prompt) > window:
        raise _too_long(
            f"at least {window + 1} input tokens, which exceeds this limit even without any output tokens",
            window,
            "input_tokens",
            window + 1,
        )
    limit = window - len(prompt) if asked is None else min(asked, window - len(prompt))
    if limit < 1:
        raise refused_value(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    return prompt, limit


def prompt_pieces(messages: list[Message], tools: list[Tool] | None, *, add_generation_prompt: bool) -> list[Piece]:
    """Return the rendered prompt. Raises RefusedError where there is no message."""
    if not messages:
        raise RefusedError("Cannot apply chat template to an empty conversation. Provide at least one message.")
    return render(messages, tools, add_generation_prompt=add_generation_prompt)


def _check_chars(chars: int, window: int) -> None:
    most = window * TOKEN_CHARS
    if chars > most:
        what = f"{chars} characters (more than {most} characters, which is the upper bound for {window} input tokens)"
        raise _too_long(what, window, "input_text", chars)


def _too_long(what: str, window: int, param: str, value: int) -> RefusedError:
    message = (
        f"This model's maximum context length is {window} tokens. However, your prompt contains {what}. "
        "Please reduce the length of the input prompt."
    )
    return refused_value(message, param, value)


def _generate(request: ChatRequest, limit: int) -> Generation:
    decided = decide(request, limit)
    if isinstance(decided, str):
        return generate_text(decided, limit, request.stop or ())
    return generate_calls(decided, limit, named=isinstance(request.tool_choice, NamedTool))


def _events(reply: Reply, with_usage: bool) -> Iterator[tuple[int, bytes]]:
    steps = reply.generation.steps
    yield steps[0].tokens, reply.opening()
    for step in steps:
        yield step.tokens, reply.event(step)
    if with_usage:
        yield steps[-1].tokens, reply.usage_event()
    yield steps[-1].tokens, DONE
