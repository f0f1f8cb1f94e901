"""A history or a long text that does not fit keeps its head and its tail; what must stay stays whole."""

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from infra.errors import BudgetExceeded
from infra.llm.window import Fitted, Window, fit
from infra.text.blocks import block, find_blocks

GAP = re.compile(r"\[about [\d,]+ tokens are left out here\]")
MOST_COUNTS = 64
CARD = Window(131_072, 3_000, 128, "DOCMIND_VLLM__CONTEXT_WINDOW")


def tokens(asked: Sequence[BaseMessage] | str) -> int:
    """Count words, and 5 for each message, as ChatML would."""
    return len(asked.split()) if isinstance(asked, str) else sum(5 + len(str(m.content).split()) for m in asked)


Counter = Callable[[Sequence[BaseMessage] | str], int]


def characters(asked: Sequence[BaseMessage] | str) -> int:
    return len(asked) if isinstance(asked, str) else sum(len(m.text) for m in asked)


def fitted(messages: Sequence[BaseMessage], window: Window, count: Counter = tokens) -> tuple[Fitted, int]:
    fitting, counts = fit(messages, window), 0
    try:
        asked = next(fitting)
        while True:
            counts += 1
            asked = fitting.send(count(asked))
    except StopIteration as end:
        return end.value, counts


def small(window: int = 1_000) -> Window:
    return Window(window, 100, 10, "DOCMIND_VLLM__CONTEXT_WINDOW")


def sentences(n: int, name: str = "Ann") -> str:
    return " ".join(f"{name} sold exactly {i} loaves of rye bread today." for i in range(n))


def turns(n: int, length: int = 3) -> list[BaseMessage]:
    pairs = [(HumanMessage(sentences(length, f"Q{i}")), AIMessage(sentences(length, f"A{i}"))) for i in range(n)]
    return [message for pair in pairs for message in pair]


def test_a_long_text_keeps_the_first_20k_and_the_last_100k_tokens_of_a_128k_window_and_ends_at_sentences() -> None:
    text = sentences(60_000)
    result, _ = fitted([SystemMessage("Be true."), HumanMessage(text)], CARD)
    system, user = result.messages
    head, tail = GAP.split(user.text)
    assert system == SystemMessage("Be true.")
    assert text.startswith(head.strip())
    assert text.endswith(tail.strip())
    assert head.strip().endswith("today.")
    assert tail.strip().startswith("Ann sold")
    assert 20_000 <= tokens(head) <= 22_048
    assert 100_000 <= tokens(tail) <= 102_048
    assert result.cut_tokens == tokens([*[SystemMessage("Be true.")], HumanMessage(text)]) - result.prompt_tokens


def test_a_long_history_keeps_whole_messages_of_its_head_and_its_tail() -> None:
    history = turns(4_000, 10)
    result, counts = fitted([SystemMessage("Be true."), *history, HumanMessage("And now?")], CARD)
    kept = list(result.messages)
    assert (kept[0], kept[-1]) == (SystemMessage("Be true."), HumanMessage("And now?"))
    place = {message.text: n for n, message in enumerate(history)}
    places = [place[message.text] for message in kept[1:-1]]
    gap = next(n for n in range(1, len(places)) if places[n] != places[n - 1] + 1)
    assert places[:gap] == list(range(gap))
    assert places[gap:] == list(range(len(history) - len(places) + gap, len(history)))
    assert 19_000 <= tokens(kept[1 : 1 + gap]) <= 22_048 + 5 * gap
    assert 99_000 <= tokens(kept[1 + gap : -1]) <= 102_048 + 5 * len(places)
    assert [m.type for m in kept[1:]] == ["human", "ai"] * (len(places) // 2) + ["human"]
    assert counts <= MOST_COUNTS


def test_one_huge_message_of_a_history_is_cut_inside() -> None:
    huge = AIMessage(sentences(1_000))
    result, _ = fitted([HumanMessage("What happened?"), huge, HumanMessage("And then?")], small())
    assert result.messages[-1] == HumanMessage("And then?")
    [cut] = [m for m in result.messages if GAP.search(m.text)]
    head, tail = GAP.split(cut.text)
    assert huge.text.startswith(head.strip()) or head.strip().startswith("What")
    assert huge.text.endswith(tail.strip())
    assert result.prompt_tokens <= 1_000 - 10 - 100


def test_what_is_asked_is_cut_inside_its_longest_block_and_the_task_stays() -> None:
    asked = block("question", sentences(1_000))
    prompt = HumanMessage("\n\n".join([asked, "Decide how to work on the question above."]))
    result, _ = fitted([SystemMessage("Be true."), prompt], small())
    [question] = find_blocks(result.messages[1].text, "question")
    head, tail = GAP.split(question.body)
    assert sentences(1_000).startswith(head.strip())
    assert sentences(1_000).endswith(tail.strip())
    assert result.messages[1].text.endswith("Decide how to work on the question above.")


def test_a_long_question_leaves_half_the_room_to_the_evidence() -> None:
    sources = [block("source", sentences(8), id=f"E{n}", doc="a.md") for n in range(1, 9)]
    prompt = HumanMessage("\n\n".join([*sources, block("question", sentences(1_000)), "Answer."]))
    result, _ = fitted([prompt], small())
    kept = find_blocks(result.messages[0].text, "source")
    assert 3 <= len(kept) < 8
    assert [b.attrs["id"] for b in kept] == [f"E{n}" for n in range(1, len(kept) + 1)]
    assert result.dropped == tuple(f"E{n}" for n in range(len(kept) + 1, 9))
    assert GAP.search(find_blocks(result.messages[0].text, "question")[0].body)


def test_a_repair_keeps_the_prompt_that_it_repairs() -> None:
    prompt = HumanMessage("\n\n".join([block("source", sentences(5), id="E1", doc="a.md"), "Answer."]))
    repair = HumanMessage("That is not valid.")
    result, _ = fitted([prompt, AIMessage("{" + sentences(400)), repair], small())
    assert (result.messages[0], result.messages[-1]) == (prompt, repair)
    assert result.dropped == ()


def test_a_block_in_a_history_is_kept_whole_or_not_at_all() -> None:
    quoted = AIMessage(block("text", sentences(300)))
    result, _ = fitted([HumanMessage("What happened?"), quoted, HumanMessage("And then?")], small())
    assert [m.text for m in result.messages if "loaves" in m.text] == []


def test_a_fitted_call_is_left_alone() -> None:
    once, _ = fitted([*turns(100), HumanMessage("And now?")], small())
    again, counts = fitted(once.messages, small())
    assert (again.messages, again.cut_tokens, counts) == (once.messages, 0, 1)


def test_instructions_are_never_cut() -> None:
    with pytest.raises(BudgetExceeded):
        fitted([SystemMessage(sentences(1_000)), HumanMessage("And now?")], small())


def called(n: int) -> list[BaseMessage]:
    """Return a message with two tool calls, and their results."""
    calls = [ToolCall(name="look", args={"n": n}, id=f"c{n}{side}") for side in "ab"]
    return [AIMessage("", tool_calls=calls), *(ToolMessage(sentences(3), tool_call_id=str(c["id"])) for c in calls)]


def flat(messages: Sequence[BaseMessage]) -> str:
    return " ".join(m.type for m in messages)


def test_tool_results_that_wait_for_an_answer_are_cut_and_not_lost() -> None:
    call = AIMessage("", tool_calls=[ToolCall(name="look", args={}, id=f"c{n}") for n in range(2)])
    results = [ToolMessage(sentences(1_000, name), tool_call_id=f"c{n}") for n, name in enumerate(["Ann", "Bob"])]
    result, counts = fitted([*turns(20), HumanMessage("What was sold?"), call, *results], small())
    assert result.messages[-4:-2] == (HumanMessage("What was sold?"), call)
    for sent, whole in zip(result.messages[-2:], results, strict=True):
        head, tail = GAP.split(sent.text)
        assert whole.text.startswith(head.strip())
        assert whole.text.endswith(tail.strip())
        assert len(sent.text.split()) > 200
    assert counts <= 36


def test_calls_that_are_too_long_themselves_go_with_their_results() -> None:
    call = AIMessage("w " * 2_000, tool_calls=[ToolCall(name="look", args={}, id="c")])
    result, _ = fitted([HumanMessage("What was sold?"), call, ToolMessage("Bread.", tool_call_id="c")], small())
    assert result.messages == (HumanMessage("What was sold?"),)
    assert result.cut_tokens > 2_000


def test_calls_that_leave_no_room_for_the_question_go_with_their_results() -> None:
    question = HumanMessage("\n".join(block("claim", "Ann sold some.", id=str(n)) for n in range(30)))
    call = AIMessage("w " * 780, tool_calls=[ToolCall(name="look", args={}, id="c")])
    result, _ = fitted([question, call, ToolMessage("Bread.", tool_call_id="c")], small())
    assert result.messages == (question,)


def test_two_questions_with_a_lost_answer_between_still_take_turns() -> None:
    source = HumanMessage("\n\n".join([block("source", sentences(5), id="E1", doc="a.md"), "Answer."]))
    lost = AIMessage(block("text", sentences(400)))
    result, _ = fitted([source, lost, HumanMessage("That is not valid.")], small())
    assert flat(result.messages) == "human ai human"
    assert GAP.fullmatch(result.messages[1].text)


def test_a_text_without_spaces_is_not_cut_inside_a_drawn_character() -> None:
    family = "👩\u200d👩\u200d👧"
    for text, whole in ((family * 1_000, family), ("e\u0301" * 3_000, "e\u0301")):
        result, _ = fitted([HumanMessage(text)], small(), characters)
        head, tail = GAP.split(result.messages[0].text)
        assert head.strip() == whole * (len(head.strip()) // len(whole)) != ""
        assert tail.strip() == whole * (len(tail.strip()) // len(whole)) != ""


TEXT = st.sampled_from(["", "Yes.", sentences(3), sentences(40), "x" * 500, "word " * 300, "مرحبا 🦊 " * 60])
TURN = st.one_of(
    st.builds(lambda a, b: [HumanMessage(a), AIMessage(b)], TEXT, TEXT),
    st.builds(lambda a, n: [HumanMessage(a), *called(n)], TEXT, st.integers(0, 99)),
    st.builds(lambda a: [SystemMessage(a)], st.just("Mind the gap.")),
)
LAST = st.builds(
    lambda sources, question: HumanMessage(
        "\n\n".join(
            [*(block("source", s, id=f"E{n}") for n, s in enumerate(sources)), block("question", question), "Do."]
        )
    ),
    st.lists(TEXT.map(lambda text: block("source", text, id="E")), max_size=5),
    TEXT,
)


@settings(max_examples=150)
@given(st.lists(TURN, max_size=12), LAST, st.integers(300, 6_000))
def test_what_is_sent_fits_keeps_what_must_stay_and_says_what_is_gone(
    history: list[list[BaseMessage]], last: HumanMessage, size: int
) -> None:
    messages = [SystemMessage("Be true."), *(m for turn in history for m in turn), last]
    window = small(size)
    result, counts = fitted(messages, window)
    sent = list(result.messages)
    assert result.prompt_tokens == tokens(sent)
    assert result.prompt_tokens + window.margin_tokens + result.reply_tokens <= size
    assert counts <= MOST_COUNTS
    assert [m for m in sent if m.type == "system"] == [m for m in messages if m.type == "system"]
    assert sent[-1].text.endswith("Do.")
    asked = {str(c["id"]) for m in sent if isinstance(m, AIMessage) for c in m.tool_calls}
    assert asked == {m.tool_call_id for m in sent if isinstance(m, ToolMessage)}
    fits = tokens(messages) <= size - 10 - min(100, size // 4)
    assert (sent == messages) == fits == (not result.dropped and not result.cut_tokens and sent == messages)
    whole = [m for m in sent if not GAP.search(m.text) and m is not sent[-1]]
    assert all(any(m.text in old.text for old in messages) for m in whole)
