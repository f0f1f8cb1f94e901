"""Counting with a model's own tokenizer: what is remembered in pieces is what the whole text has."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from infra.errors import ConfigurationError
from infra.llm.counting import local as room
from infra.llm.counting.local import LocalTokens, open_local
from infra.llm.counting.messages import Unrenderable
from infra.llm.counting.rendering import ChatTemplate
from tests.infra.llm.model_folder import CONTROL, MARKUP, TEMPLATE, tokenizer_json, write_model

SPECIAL = (*CONTROL, *MARKUP)


def local(added: Any = (), template: str = TEMPLATE, **pipeline: Any) -> LocalTokens:
    """Build the small model's tokens, with more added tokens or another pipeline."""
    tokenizer: Any = Tokenizer.from_str(tokenizer_json())
    tokenizer.add_tokens([AddedToken(text, **flags) for text, flags in added])
    for name, value in pipeline.items():
        setattr(tokenizer, name, value)
    return LocalTokens(tokenizer, ChatTemplate({"default": template}, {}))


RAW = {"normalized": False}
FIRST_WORD: Any = pre_tokenizers.Sequence(
    [pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
TEMPLATE_WITH_ALL = TEMPLATE + "{# <s> <strip> <word> word lower <| <|im_end|>! |><|im_start #}"
TOKENIZERS = {
    "plain": local(),
    "tokens that overlap": local([("<|im_end|>!", RAW), ("|><|im_start", RAW), ("<|", RAW)], TEMPLATE_WITH_ALL),
    "tokens that strip": local([("<strip>", RAW | {"lstrip": True, "rstrip": True}), ("<s>", RAW)], TEMPLATE_WITH_ALL),
    "tokens that are words": local([("word", RAW | {"single_word": True})], TEMPLATE_WITH_ALL),
    "tokens found after normalisation": local(
        [("lower", {"normalized": True}), ("<s>", RAW)], TEMPLATE_WITH_ALL, normalizer=normalizers.Lowercase()
    ),
    "Llama 2's way with the first word": local([("<s>", RAW)], TEMPLATE_WITH_ALL, pre_tokenizer=FIRST_WORD),
    "a space before every part": local(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "composed characters": local(
        [("\u0301!", {"normalized": True})], TEMPLATE + "{# \u0301! #}", normalizer=normalizers.NFC()
    ),
}
LOOKALIKES = ["<s>", "<strip>", "word", "LOWER", "<|im_end|>!", "x|><|im_start|>", "<|", "|>"]
PIECES = st.sampled_from([*SPECIAL, *LOOKALIKES, "e\u0301", "e\u0301!", " ", "\n", "  ", "12", "日本", "🙂", "x"])
TEXTS = st.lists(PIECES | st.text(max_size=12), max_size=24).map("".join)


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_the_pieces_of_a_text_add_up_to_the_whole(kind: str, texts: list[str]) -> None:
    tokens = TOKENIZERS[kind]
    for text in texts:
        assert "".join(tokens.pieces(text)) == text
        assert tokens.count_text(text) == tokens.count_whole(text)


def test_texts_are_cut_before_the_templates_special_tokens() -> None:
    assert TOKENIZERS["plain"].pieces("a<|im_end|>\n<tool_call>b<|endoftext|>") == [
        "a",
        "<|im_end|>\n",
        "<tool_call>b<|endoftext|>",
    ]
    assert TOKENIZERS["tokens that strip"].pieces("a <strip> <s>") == ["a <strip> ", "<s>"]


@pytest.mark.parametrize(
    ("kind", "uncut"), [("tokens that overlap", "a<|im_end|>b"), ("tokens that are words", "a<s>b")]
)
def test_tokens_that_need_not_match_where_they_stand_are_no_cuts(kind: str, uncut: str) -> None:
    assert TOKENIZERS[kind].pieces(uncut) == [uncut]


def test_only_what_is_new_is_tokenized() -> None:
    tokens = local()
    tokenizer, encoded = Recorded(tokens._tokenizer), list[str]()
    tokens._tokenizer, tokenizer.encoded = tokenizer, encoded
    messages = [{"role": ("user", "assistant")[n % 2], "content": f"the road to {n}"} for n in range(21)]
    tokens.count_chat({"messages": messages}, "string")
    encoded.clear()
    longer = [*messages, {"role": "user", "content": "new"}]
    assert tokens.count_chat({"messages": longer}, "string") == tokens.count_whole(
        tokens.render({"messages": longer}, "string")
    )
    assert encoded == ["<|im_start|>user\nnew"]


class Recorded:
    """A tokenizer that notes what it encodes in batches."""

    encoded: list[str]

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        self.encoded += texts
        return self._inner.encode_batch_fast(texts, **options)


@pytest.mark.parametrize(("name", "limit"), [("MAX_PIECES", 3), ("MAX_CHARS", 40)])
def test_the_memory_of_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    monkeypatch.setattr(room, name, limit)
    tokens = local()
    for n in range(20):
        assert tokens.count_text(f"text {n}<|im_end|>") == tokens.count_whole(f"text {n}<|im_end|>")
        assert len(tokens._known) <= 3 or name == "MAX_CHARS"
        assert tokens._chars == sum(map(len, tokens._known)) <= room.MAX_CHARS
    tokens.forget()
    assert (len(tokens._known), tokens._chars) == (0, 0)


def test_a_truncating_tokenizer_counts_all() -> None:
    tokenizer: Any = Tokenizer.from_str(tokenizer_json())
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=100)
    tokens = LocalTokens(tokenizer, ChatTemplate({"default": TEMPLATE}, {}))
    assert tokens.count_text("the river and the road") == TOKENIZERS["plain"].count_whole("the river and the road")


def test_a_lone_surrogate_is_left_to_others() -> None:
    with pytest.raises(Unrenderable):
        TOKENIZERS["plain"].count_text("a\ud800")


@pytest.mark.parametrize("text", ["", "{", '{"model": 1}'])
def test_a_folder_with_another_tokenizer_is_refused(tmp_path: Path, text: str) -> None:
    (write_model(tmp_path) / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json cannot be read"):
        open_local(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_local(tmp_path)
    monkeypatch.setattr(room, "MAX_TOKENIZER_BYTES", 10)
    with pytest.raises(ConfigurationError, match="longer than 10 bytes"):
        open_local(write_model(tmp_path))
