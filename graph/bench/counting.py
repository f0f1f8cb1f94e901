"""How fast prompts are counted: cold, and when only the last message is new.

Gives `run`. A conversation of about ``tokens`` tokens is made from this Python's standard library. Counted cold
(nothing remembered), its time is compared with the bare tokenizer's on the same rendered text, round by round; then a
message is added and the conversation counted again. With a server, the same counts are asked from its ``/tokenize``.
Times in milliseconds of wall clock; the tokenizer's own cache of words is warm in all rounds. The bare tokenizer makes
one `encode` of the text; a cold count may take less, since pieces are encoded on all cores and without offsets.
"""

import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from infra.llm.counting.local import LocalTokens, open_local
from infra.llm.endpoint import Backend, open_clients
from infra.llm.tokens import TokenCounter

ROUNDS = 7
MESSAGE_CHARS = 2_000  # some 500 tokens: turns of a person, and results that hold a few passages
_TRAINING_FILES = 60
_VOCABULARY = 4_096
_WAIT_SECONDS = 60.0
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def run(tokenizer_folder: Path | None, base_url: str | None, tokens: int = 120_000) -> dict[str, Any]:
    """Measure counting.

    Args:
        tokenizer_folder: a model's folder; None trains a small tokenizer in a temporary one.
        base_url: a server's OpenAI API, ending in ``/v1``, whose ``/tokenize`` is measured too; None for none.
        tokens: length of the conversation, at least.

    Returns:
        Times in ms; ``cold_ratio``, cold count over bare tokenizer; ``warm_ratio``, last message new over cold;
        ``warm_to_bare_ratio``, the same over bare tokenizer.
        Ratios are medians over the rounds, the lowest beside them.
    """
    with TemporaryDirectory() as temporary:
        folder = tokenizer_folder or _small_model(Path(temporary))
        local = open_local(folder)
    messages = _conversation(local, tokens)
    figures = _local_figures(local, messages)
    return figures | (_server_figures(base_url, messages) if base_url else {})


def _local_figures(local: LocalTokens, messages: list[dict[str, str]]) -> dict[str, Any]:
    body = {"messages": messages}
    text = local.render(body, "string")
    local.count_whole(text)
    bare, cold, warm = list[float](), list[float](), list[float]()
    for number in range(ROUNDS):
        local.forget()
        bare.append(_milliseconds(lambda: local.count_whole(text)))
        cold.append(_milliseconds(lambda: local.count_chat(body, "string")))
        longer = {"messages": [*messages, {"role": "user", "content": f"And what of number {number}? " * 10}]}
        warm.append(_milliseconds(lambda longer=longer: local.count_chat(longer, "string")))
    return {
        "tokens": local.count_chat(body, "string"),
        "messages": len(messages),
        "exact": local.count_chat(body, "string") == local.count_whole(text),
        "rounds": ROUNDS,
        "bare_ms": _median(bare),
        "cold_ms": _median(cold),
        "warm_ms": _median(warm),
        **_ratios("cold", cold, bare),
        **_ratios("warm", warm, cold),
        **_ratios("warm_to_bare", warm, bare),
    }


def _server_figures(base_url: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    """Ask a server for the same counts; it remembers nothing, so each is a round trip with the whole text."""
    clients = open_clients(None, connect_seconds=_WAIT_SECONDS, call_seconds=_WAIT_SECONDS)
    try:
        listing: Any = clients.blocking.get(f"{base_url}/models").raise_for_status().json()
        model = str(listing["data"][0]["id"])
        counter = TokenCounter(Backend("vllm", model, "", 1_000_000, base_url), clients)
        trips: list[float] = []
        for number in range(ROUNDS):
            longer = {"messages": [*messages, {"role": "user", "content": f"And what of number {number}?"}]}
            trips.append(_milliseconds(lambda longer=longer: counter.count(longer)))
    finally:
        clients.close()
    return {"server_round_trip_ms": _median(trips), "server_round_trip_min_ms": round(min(trips), 2)}


def _conversation(local: LocalTokens, tokens: int) -> list[dict[str, str]]:
    """Return a conversation of at least ``tokens`` tokens; roles alternate, the last is the user's."""
    messages: list[dict[str, str]] = []
    held = 0
    for number, text in enumerate(_texts()):
        messages.append({"role": ("user", "assistant")[number % 2], "content": text})
        held += local.count_whole(text)
        if held >= tokens and number % 2 == 0:
            break
    return messages


def _texts() -> Iterator[str]:
    while True:
        for path in _library():
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from (text[at : at + MESSAGE_CHARS] for at in range(0, len(text), MESSAGE_CHARS))


def _library() -> list[Path]:
    return sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))


def _small_model(folder: Path) -> Path:
    """Train a small byte-level BPE and write it with a ChatML template, as a model's folder has them."""
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in _library()[:_TRAINING_FILES])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(_TEMPLATE, encoding="utf-8")
    return folder


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - began)


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 2)


def _ratios(name: str, upper: list[float], lower: list[float]) -> dict[str, float]:
    """Return the ratio of paired times: median and lowest."""
    ratios = [above / below for above, below in zip(upper, lower, strict=True)]
    return {f"{name}_ratio": round(statistics.median(ratios), 4), f"{name}_ratio_min": round(min(ratios), 4)}
