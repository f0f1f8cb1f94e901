"""Routes: look-ups, compound questions, and follow-ups that are made to stand alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.text.blocks import block
from tests.infra.engine.tasks.calls import do, history, list_of, question


def followed(*turns: str) -> str:
    """The standalone form of the last of ``turns``: the user's words and the assistant's, in turn."""
    return do("route", history(*turns[:-1]), question(turns[-1]))["question"]


def test_a_question_is_looked_up():
    assert do("route", question("When was the boiler serviced?")) == {
        "question": "When was the boiler serviced?",
        "kind": "lookup",
    }


def test_a_question_that_the_plan_splits_is_compound_and_comes_with_its_steps():
    text = "When was the boiler serviced and who serviced it?"
    steps = [
        {"id": "q1", "question": "When was the boiler serviced?"},
        {"id": "q2", "question": "Who serviced the boiler?"},
    ]
    assert do("route", question(text)) == {"question": text, "kind": "compound", "steps": steps}
    assert do("plan", question(text)) == {"steps": steps}
    assert do("route", question("What did the person who broke the lamp say?"))["kind"] == "compound"


def test_a_follow_up_is_completed_before_it_is_split():
    told = history("Where does Ann Miller live?", "In Rome.")
    routed = do("route", told, question("When did she move there and who helped her?"))
    assert [step["question"] for step in routed["steps"]][1] == "Who helped Ann Miller?"


def test_without_history_nothing_is_filled():
    assert do("route", question("When did she leave?"))["question"] == "When did she leave?"


@pytest.mark.parametrize(
    ("before", "answer", "asked", "whole"),
    [
        # pronouns for persons
        ("When did Ann Miller move in?", "In May.", "Where does she live now?", "Where does Ann Miller live now?"),
        ("What did Ann tell Bob?", "A joke.", "Did she like him?", "Did Ann like Bob?"),
        ("Who founded Acme?", "Ann Miller did. [E1]", "When was she born?", "When was Ann Miller born?"),
        ("What is Ann's job?", "Nurse.", "And what is her salary?", "And what is Ann's salary?"),
        ("Did Ann call Bob?", "Yes.", "When did Bob answer her?", "When did Bob answer Ann?"),
        # pronouns for things
        ("When was the boiler in the cellar serviced?", "In May.", "Who serviced it?", "Who serviced the boiler?"),
        ("Who founded Acme?", "Ann Miller did.", "When did it move?", "When did Acme move?"),
        ("Where can I buy plum cake?", "Here.", "How much does it cost?", "How much does plum cake cost?"),
        (
            "What did Ann say about the tap?",
            "It leaks.",
            "What did Bob say about it?",
            "What did Bob say about the tap?",
        ),
        ("Which lamp did Ann buy?", "A red one.", "Is it bright?", "Is the lamp Ann buy bright?"),
        (
            "What did Ann say about the tap?",
            "It leaks.",
            "Why did she say that?",
            "Why did Ann say that about the tap?",
        ),
        ("What do Ann and Bob drink?", "Tea.", "Where did they meet?", "Where did Ann and Bob meet?"),
        ("What is the price of the blue chair?", "40.", "Is this price fair?", "Is the price of the blue chair fair?"),
        ("Who sells garden chairs?", "Acme.", "Are these chairs stable?", "Are the garden chairs stable?"),
        ("Where is the office in Rome?", "Here.", "Who works there?", "Who works in Rome?"),
        ("What is the capital of France?", "Paris.", "Who lives there?", "Who lives in France?"),
        # ellipses
        ("What was the revenue in 2022?", "5 million.", "And in 2023?", "What was the revenue in 2023?"),
        ("How big is the cache in FP8?", "9 GiB.", "and in FP16?", "How big is the cache in FP16?"),
        ("How big is it at 128K in FP8?", "9 GiB.", "What about 32K?", "How big is it at 32K in FP8?"),
        ("Who came on Monday?", "Ann.", "And on Tuesday?", "Who came on Tuesday?"),
        ("Who came in May?", "Ann.", "What about June?", "Who came in June?"),
        ("What is Ann's first tip?", "Rest.", "How about the second?", "What is Ann's second tip?"),
        ("What does Ann drink?", "Tea.", "What about Bob?", "What does Bob drink?"),
        ("What is Ann's job?", "Nurse.", "And Bob's?", "What is Bob's job?"),
        ("Does Ann drink tea?", "Yes.", "And does Bob?", "Does Bob drink tea?"),
        ("What is the reserve?", "3,000.", "And the margin?", "What is the margin?"),
        ("How large is the living room?", "20 m2.", "the kitchen?", "How large is the kitchen?"),
        ("What did the blue chair cost?", "40.", "what about the red one?", "What did the red chair cost?"),
        ("How much does plum cake cost?", "5.", "And banana bread?", "How much does banana bread cost?"),
        ("Who works with Ann?", "Bob.", "And with Carl?", "Who works with Carl?"),
        ("Who is in the garden?", "Ann.", "And in the house?", "Who is in the house?"),
        ("Who sings?", "Ann.", "And on Sundays?", "Who sings on Sundays?"),
        ("Who sings?", "Ann.", "And the choir?", "Who sings the choir?"),
        ("Did Ann visit Rome?", "Yes.", "When?", "When did Ann visit Rome?"),
        ("What did Ann buy?", "A lamp.", "Why?", "Why, what did Ann buy?"),
        ("What did Ann buy?", "A lamp.", "Tell me more", "What did Ann buy?"),
        # what stands alone stays
        ("What did Ann buy?", "A lamp.", "How large is the cellar?", "How large is the cellar?"),
        ("What did Ann buy?", "A lamp.", "boiler warranty", "boiler warranty"),
        ("What did Ann buy?", "A lamp.", "Is it true that Bob left?", "Is it true that Bob left?"),
        ("What did Ann buy?", "A lamp.", "How long does it take?", "How long does it take?"),
        ("What did Ann buy?", "A lamp.", "Is there a lamp?", "Is there a lamp?"),
        ("What did Ann buy?", "A lamp.", "Did Carl lose his key?", "Did Carl lose his key?"),
        ("What now?", "?", "Where is it?", "Where is it?"),
        ("What now?", "?", "Who works there?", "Who works there?"),
        ("What now?", "?", "Is this price fair?", "Is this price fair?"),
    ],
)
def test_a_follow_up_becomes_whole(before: str, answer: str, asked: str, whole: str):
    assert followed(before, answer, asked) == whole


def test_the_latest_question_that_names_somebody_counts():
    turns = (
        "What does Ann drink?",
        "Tea.",
        "What does Bob drink?",
        "Milk.",
        "How much is it?",
        "5.",
        "Does he like it?",
    )
    assert followed(*turns).startswith("Does Bob like")


def test_the_answer_counts_where_the_questions_name_nobody():
    assert (
        followed("Which nurse works here?", "It is Carla Ruiz.", "Where does she live?")
        == "Where does Carla Ruiz live?"
    )


def test_a_history_line_without_a_speaker_goes_on_with_the_line_before():
    told = history("Who works here?", "It is\nCarla Ruiz.")
    assert do("route", told, question("Where does she live?"))["question"] == "Where does Carla Ruiz live?"


def test_the_note_of_earlier_turns_is_read_like_the_turns_it_stands_for():
    note = ["user: Where does Ann Miller live?", "assistant: She has a house.", "assistant: It stands in Rome."]
    lines = [*(f"earlier: {line}" for line in note), "user: How large is the cellar?", "assistant: 20."]
    told = block("history", "\n".join(lines))
    assert do("route", told, question("When did she move?"))["question"] == "When did Ann Miller move?"
    found = ["earlier: user: Who works here?", "earlier: assistant: It is Carla Ruiz.", "earlier: assistant: So it is."]
    told = block("history", "\n".join(found))
    assert do("route", told, question("Where does she live?"))["question"] == "Where does Carla Ruiz live?"


@settings(max_examples=50)
@given(
    st.lists(
        st.lists(
            st.sampled_from(list_of("and what about Ann Bob the lamp it she her there 2023 FP8 in one ?")), max_size=12
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_follow_up_always_has_words_when_it_was_asked_with_words(turns: list[list[str]]):
    texts = [" ".join(["Who", *words]) for words in turns]
    assert followed(*texts).strip()
