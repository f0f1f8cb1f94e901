"""Fitting a call into its window."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from infra.errors import BudgetExceeded
from infra.llm.window import Fitted, Window, fit
from infra.text.blocks import block, find_blocks

SETTING = "DOCMIND_VLLM__CONTEXT_WINDOW"


def window(tokens: int = 100, reserve: int = 20, margin: int = 5) -> Window:
    return Window(tokens, reserve, margin, SETTING)


def words(asked: Sequence[BaseMessage] | str) -> int:
    if isinstance(asked, str):
        return len(asked.split())
    return sum(len(str(message.content).split()) for message in asked)


def run(messages: Sequence[BaseMessage], limits: Window, max_tokens: int | None = None) -> tuple[Fitted, int]:
    fitting, counts = fit(messages, limits, max_tokens), 0
    try:
        asked = next(fitting)
        while True:
            counts += 1
            asked = fitting.send(words(asked))
    except StopIteration as end:
        return end.value, counts


def sources(*lengths: int) -> list[str]:
    return [block("source", " ".join(["word"] * n), id=f"E{i}", doc="a.md") for i, n in enumerate(lengths, start=1)]


def prompt(*lengths: int) -> list[BaseMessage]:
    return [
        SystemMessage("be true"),
        HumanMessage("\n\n".join([*sources(*lengths), block("question", "who?"), "answer"])),
    ]


def test_a_call_that_fits_is_sent_as_it_is() -> None:
    messages = prompt(10, 10)
    assert run(messages, window()) == (Fitted(tuple(messages), words(messages), 20, ()), 1)


def test_the_reply_gets_what_is_left_at_most_the_reserve_at_most_what_is_asked() -> None:
    messages = [HumanMessage(" ".join(["w"] * 60))]
    assert run(messages, window())[0].reply_tokens == 20
    assert run(messages, window(), max_tokens=7)[0].reply_tokens == 7
    assert run(messages, window(), max_tokens=70)[0].reply_tokens == 20
    assert run([SystemMessage(" ".join(["w"] * 89)), HumanMessage("who?")], window())[0].reply_tokens == 5


def test_whole_passages_are_left_out_lowest_rank_first() -> None:
    messages = prompt(30, 30, 30, 30)
    fitted, counts = run(messages, window())
    assert fitted.dropped == ("E3", "E4")
    assert fitted.messages == tuple(prompt(30, 30))
    assert (fitted.prompt_tokens, fitted.reply_tokens) == (words(fitted.messages), 20)
    assert counts <= 4
    assert messages == prompt(30, 30, 30, 30)


def test_evidence_is_found_behind_a_repair() -> None:
    repair = [AIMessage("{"), HumanMessage("That is not valid.")]
    fitted, _ = run([*prompt(30, 30, 30), *repair], window())
    assert fitted.dropped == ("E2", "E3")
    assert fitted.messages == (*prompt(30), *repair)


def test_evidence_never_takes_more_than_the_window_leaves_beside_a_quarter_for_the_reply() -> None:
    fitted, _ = run(prompt(20, 20, 20), window(reserve=80))
    assert fitted.dropped == ("E3",)
    assert fitted.reply_tokens == 100 - 5 - fitted.prompt_tokens >= 25


def test_blocks_without_an_id_are_named_by_their_place() -> None:
    text = "\n".join(block("source", " ".join(["word"] * 60)) for _ in range(2))
    assert run([HumanMessage(text)], window())[0].dropped == ("#2",)


def test_a_call_that_does_not_fit_without_any_evidence_is_refused_with_the_numbers() -> None:
    instructions = SystemMessage(" ".join(["long"] * 95))
    with pytest.raises(BudgetExceeded) as refused:
        run([instructions, HumanMessage("\n".join([*sources(50), "who?"]))], window())
    assert (refused.value.needed, refused.value.available, refused.value.setting) == (96 + 5 + 1, 100, SETTING)
    assert str(refused.value) == (
        "this model call does not fit the window, margin and one token of reply included: needs 102 tokens, "
        "100 are available; DOCMIND_VLLM__CONTEXT_WINDOW decides"
    )


def test_the_last_token_of_the_window_can_be_used() -> None:
    assert run([SystemMessage(" ".join(["w"] * 93)), HumanMessage("who?")], window())[0].reply_tokens == 1


def test_a_reply_of_nothing_is_refused() -> None:
    with pytest.raises(BudgetExceeded, match="max_tokens of the call decides"):
        run(prompt(1), window(), max_tokens=0)


def test_passages_are_dropped_from_a_users_text_only() -> None:
    parts = HumanMessage([{"type": "text", "text": "\n".join(sources(90))}])
    with pytest.raises(BudgetExceeded):
        run([parts], window(tokens=80))
    fitted, _ = run([AIMessage("\n".join(sources(90))), HumanMessage("who?")], window(tokens=80))
    assert fitted.dropped == ()
    assert fitted.cut_tokens > 0


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 60), min_size=0, max_size=9),
    st.integers(10, 400),
    st.integers(1, 300),
    st.one_of(st.none(), st.integers(1, 300)),
)
def test_what_is_sent_always_fits_and_keeps_the_best_ranks(
    lengths: list[int], tokens: int, reserve: int, asked: int | None
) -> None:
    limits = window(tokens, reserve)
    try:
        fitted, counts = run(prompt(*lengths), limits, asked)
    except BudgetExceeded as refused:
        assert refused.needed > refused.available == tokens  # noqa: PT017 - a refusal is one of two right outcomes
        return
    assert fitted.prompt_tokens == words(fitted.messages)
    assert 1 <= fitted.reply_tokens <= min(reserve, asked or reserve)
    assert fitted.prompt_tokens + limits.margin_tokens + fitted.reply_tokens <= tokens
    kept = [found.attrs["id"] for found in find_blocks(str(fitted.messages[-1].content), "source")]
    assert [*kept, *fitted.dropped] == [f"E{n}" for n in range(1, len(lengths) + 1)]
    assert counts <= 2 + len(lengths).bit_length() or fitted.cut_tokens
