"""Plans: questions taken apart by grammar."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engine.tasks.splitting import MAX_CHARS
from tests.infra.engine.tasks.calls import do, list_of, question


def parts(text: str) -> list[str]:
    return [step["question"] for step in do("plan", question(text))["steps"]]


@pytest.mark.parametrize(
    "text",
    [
        "When was the boiler installed?",
        "When and where do they meet?",
        "What happened before the storm?",
        "Did it rain after lunch?",
        "Did it rain before the end of the day?",
        "What should I do before leaving the house?",
        "How do I clean and oil the pump?",
        "Who won the match between Rome and Turin?",
        "How far is it from Rome to Turin?",
        "Ann broke the lamp. What did Bob say?",
        "What does Ben like more, tea or coffee?",
        "Who is the woman who lives next door?",
        "Who scored in Rome vs. Turin as the paper says?",
        "boiler manual",
    ],
)
def test_a_question_for_one_thing_is_one_step(text: str):
    assert do("plan", question(text)) == {"steps": [{"id": "q1", "question": text}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "What is the reserve? What is the margin?",
            ["What is the reserve?", "What is the margin?"],
        ),
        (
            "When was the boiler serviced and who serviced it?",
            ["When was the boiler serviced?", "Who serviced the boiler?"],
        ),
        (
            "What is the capital of France, and how many people live there?",
            ["What is the capital of France?", "How many people live in France?"],
        ),
        (
            "What does Ann drink? And Bob?",
            ["What does Ann drink?", "What does Bob drink?"],
        ),
        (
            "Did Ben finish the report before Carla sent the invoice?",
            ["Did Ben finish the report?", "When was it that Carla sent the invoice?"],
        ),
        (
            "Did Ben call after the new neighbours moved in?",
            ["Did Ben call?", "When was it that the new neighbours moved in?"],
        ),
        (
            "Question: Did Anna call before she left?",
            ["Did Anna call?", "When was it that Anna left?"],
        ),
        (
            "Did Ben order the lamp before asking Carla for her advice?",
            ["Did Ben order the lamp?", "Was Ben asking Carla for her advice?"],
        ),
        (
            "How long did it take from Ann ordering the sofa to the sofa being delivered?",
            ["Was Ann ordering the sofa?", "Was the sofa delivered?"],
        ),
        (
            "Is the time between Ann asking Bob to help her and Bob first calling her more than 3 days?",
            ["Was Ann asking Bob to help her?", "Was Bob first calling Ann?"],
        ),
        (
            "What is the difference between FP8 and FP16 caches in size?",
            ["What about FP8 caches in size?", "What about FP16 caches in size?"],
        ),
        ("Compare Rome, Turin and Milan", ["What about Rome?", "What about Turin?", "What about Milan?"]),
        ("Tea vs coffee?", ["What about Tea?", "What about coffee?"]),
        ("How does a pump differ from a valve?", ["What about a pump?", "What about a valve?"]),
        ("Is the old house bigger than the new one?", ["How big is the old house?", "How big is the new one?"]),
        ("Which is more useful, tea or coffee?", ["How useful is tea?", "How useful is coffee?"]),
        ("Who is happier, Ann or Bob?", ["How happy is Ann?", "How happy is Bob?"]),
        ("Which was larger: Rome or Turin?", ["How large was Rome?", "How large was Turin?"]),
        ("What do both Ann and Bob drink?", ["What does Ann drink?", "What does Bob drink?"]),
    ],
)
def test_independent_asks_become_steps_that_stand_alone(text: str, found: list[str]):
    assert parts(text) == found


def test_independent_steps_need_nothing_so_that_they_can_run_together():
    assert do("plan", question("When did Ann leave and why did Bob stay?"))["steps"] == [
        {"id": "q1", "question": "When did Ann leave?"},
        {"id": "q2", "question": "Why did Bob stay?"},
    ]


def test_the_person_who_is_asked_for_first():
    text = "What did the person who broke the window say about the repair?"
    assert do("plan", question(text))["steps"] == [
        {"id": "q1", "question": "Who broke the window?"},
        {"id": "q2", "question": text, "needs": ["q1"]},
    ]
    assert parts("In which town lives the company that built the pump?")[0] == "Which company built the pump?"


def test_a_relative_clause_whose_end_is_not_known_is_left_alone():
    assert len(parts("Did the man who laughed?")) == 1


def test_there_are_never_more_than_three_steps():
    assert len(parts("Who is Ann? Who is Bob? Who is Carl? Who is Dora?")) == 3


def test_a_text_instead_of_a_question_is_not_taken_apart():
    text = "Who came and when did they leave? " * 80
    assert len(text) > MAX_CHARS
    assert parts(text) == [text.strip()]


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from(
            list_of("did Ann Bob the house and or before after between compare both is larger than who it ? , .")
        ),
        max_size=30,
    )
)
def test_whatever_is_asked_there_are_one_to_three_steps_with_words(words: list[str]):
    steps = do("plan", question(" ".join(words) or "?"))["steps"]
    assert [step["id"] for step in steps] == [f"q{n}" for n in range(1, len(steps) + 1)]
    assert 1 <= len(steps) <= 3
    assert all(step["question"].strip() for step in steps)
