"""Users and assistants take turns on both sides of a gap."""

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from infra.llm.turns import Place, in_turn, newest_results, took_turns

CALL = AIMessage("", tool_calls=[ToolCall(name="look", args={}, id="c")])
RESULT = ToolMessage("r", tool_call_id="c")
LETTERS: dict[str, BaseMessage] = {
    "s": SystemMessage("s"),
    "u": HumanMessage("u"),
    "U": HumanMessage("U"),
    "a": AIMessage("a"),
    "c": CALL,
    "r": RESULT,
}


def places(letters: str) -> list[Place]:
    """Return messages by letter; a capital and instructions may not go."""
    return [Place(LETTERS[letter], letter not in "sU") for letter in letters]


def joined(before: str, after: str) -> str:
    letters = {id(message): letter for letter, message in LETTERS.items()}
    return "".join(letters.get(id(message), "+") for message in in_turn(places(before), places(after), "gone"))


def test_an_answer_whose_question_is_gone_goes_with_its_calls() -> None:
    assert joined("sua", "aU") == "suaU"
    assert joined("sua", "craU") == "suaU"
    assert joined("s", "crauaU") == "suaU"


def test_a_question_whose_answer_is_gone_goes_with_its_calls() -> None:
    assert joined("suau", "uaU") == "suauaU"
    assert joined("sucr", "U") == "sU"
    assert joined("us", "U") == "sU"


def test_where_no_question_may_go_the_gap_is_an_answer() -> None:
    assert joined("sU", "U") == "sU+U"


def test_what_takes_turns_is_joined_as_it_is() -> None:
    assert joined("su", "aU") == "suaU"
    assert joined("sua", "U") == "suaU"
    assert joined("sucr", "crau") == "sucrcrau"


def test_instructions_and_calls_are_no_turns() -> None:
    assert took_turns([LETTERS[letter] for letter in "suscrcru"]) is False
    assert took_turns([LETTERS[letter] for letter in "suscrasucrau"]) is True
    assert took_turns([LETTERS[letter] for letter in "au"]) is False


def test_the_newest_results_are_those_at_the_end_with_their_call() -> None:
    assert newest_results([LETTERS[letter] for letter in "ucrcrr"]) == range(3, 6)
    for other in ("", "ua", "ur", "uc", "ucra", "r"):
        assert not newest_results([LETTERS[letter] for letter in other])


TURN = st.sampled_from(["ua", "ucra", "ucrcra", "usa"])


@given(st.lists(TURN, max_size=6), st.data())
def test_any_gap_between_whole_messages_leaves_turns_and_whole_calls(turns: list[str], data: st.DataObject) -> None:
    text = "s" + "".join(turns) + "U"
    units = text.replace("cr", "C")
    first = data.draw(st.integers(0, len(units) - 1))
    last = data.draw(st.integers(first, len(units) - 1))
    lost = units[first:last].replace("s", "")
    result = joined(
        units[:first].replace("C", "cr") + "s" * units[first:last].count("s"), units[last:].replace("C", "cr")
    )
    messages = [LETTERS.get(letter, AIMessage("gone")) for letter in result]
    assert took_turns(messages)
    assert result.count("cr") == result.count("c") == result.count("r")
    assert result.count("s") == text.count("s")
    assert result.endswith("U")
    assert lost or result == text
