"""Each veto: a pair that it refuses with its reason, and a pair like it that is let through."""

import pytest

from tests.infra.cache.gates.asked import judged

REFUSED = [
    ("numbers", "What does the plan for 10 users cost?", "What does the plan for 100 users cost?"),
    ("numbers", "Who won the first race?", "Who won the third race?"),
    ("numbers", "How many people may enter?", "How many people may enter in room 4?"),
    ("dates", "What was the revenue in 2023?", "What was the revenue in 2022?"),
    ("dates", "Who called on Monday?", "Who called on Friday?"),
    ("dates", "When does the shop open in March?", "When does the shop open in April?"),
    ("dates", "Is parking free on weekdays?", "Is parking free on weekends?"),
    ("units", "Is the limit 10 MB?", "Is the limit 10 GB?"),
    ("units", "Is the limit 10 Mb?", "Is the limit 10 MB?"),
    ("units", "Does it take 5 mW?", "Does it take 5 MW?"),
    ("units", "How many miles is it?", "How many kilometers is it?"),
    ("residue", "What is the C# compiler called?", "What is the C++ compiler called?"),
    ("residue", "What does 日 mean?", "What does 月 mean?"),
    ("identifiers", "What is the status of order HV-5680?", "What is the status of order HV-5860?"),
    ("identifiers", "What does client.embed return?", "What does client.rerank return?"),
    ("negation", "Which cities were destroyed?", "Which cities were not destroyed?"),
    ("negation", "Who works without a contract?", "Who works with a contract?"),
    ("question word", "Where did she meet Bob?", "When did she meet Bob?"),
    ("modal", "Can guests use the pool?", "Must guests use the pool?"),
    ("modal", "What did the company build?", "What will the company build?"),
    ("tense", "What does the company build?", "What did the company build?"),
    ("tense", "Who is the director?", "Who was the director?"),
    ("tense", "Who was the director of the firm?", "Who were the directors of the firm?"),
    ("tense", "Who has worked at the mill?", "Who worked at the mill?"),
    ("person", "What is my password?", "What is your password?"),
    ("direction", "How many people live above the bridge?", "How many people live below the bridge?"),
    ("direction", "What happened before the war?", "What happened after the war?"),
    ("particle", "How do I log in and out?", "How do I log in and off?"),
    ("quantifier", "Which of all doors are locked?", "Which of some doors are locked?"),
    ("quantifier", "Who has more than two cars?", "Who has fewer than two cars?"),
    ("linker", "Who likes tea and coffee?", "Who likes tea or coffee?"),
    ("names", "What did Tesla buy in Denver?", "What did Tesla buy in Boston?"),
    ("names", "what did tesla buy in denver", "what did tesla buy in boston"),
    ("names", "What does the IPCC do?", "What does the IPPC do?"),
    ("polarity", "Is the bridge safe?", "Is the bridge unsafe?"),
    ("polarity", "How do I enable logging?", "How do I disable logging?"),
    ("polarity", "Which party lost its majority?", "Which party lost its minority?"),
    ("polarity", "Which market is larger?", "Which market is smaller?"),
    ("polarity", "What was later found?", "What was earlier found?"),
    ("order", "How much is it from Bern to Rome?", "How much is it from Rome to Bern?"),
    ("order", "Who did the dog chase in the garden?", "Who chased the dog in the garden?"),
    ("order", "What does Anna owe Bob?", "What does Bob owe Anna?"),
    ("order", "Who can say what must be done?", "Who must say what can be done?"),
    ("order", "What does he say she did?", "What did he say she does?"),
    ("names", "Can you give Bob money?", "Can you tell Mary money?"),
    ("deictic", "What is in this picture?", "What is in this picture?"),
    ("deictic", "Which of the following is right?", "Which of the following is right?"),
    ("deictic", "Who called yesterday?", "Who called yesterday?"),
    ("language", "Was ist die Hauptstadt von Peru?", "Was ist die Hauptstadt von Chile?"),
]

SERVED = [
    ("numbers", "Who won the first race?", "Who won the 1st race?"),
    ("numbers", "Who has 1,000 shares?", "Who has 1000 shares?"),
    ("dates", "What was the revenue in 2023?", "In 2023, what was the revenue?"),
    ("units", "Is the limit 10 MB?", "is the limit 10MB"),
    ("units", "How many kilometers is it?", "How many kilometres is it?"),
    ("residue", "What is the C# compiler called?", "What is the C# compiler called"),
    ("identifiers", "What is the status of order HV-5680?", "what is the status of order hv-5680?"),
    ("negation", "Which cities weren't destroyed?", "Which cities were not destroyed?"),
    ("question word", "What town was granted to them?", "Which town was granted to them?"),
    ("question word", "Why was the club founded?", "For what reason was the club founded?"),
    ("modal", "Can guests use the pool?", "I'd like to know if guests can use the pool."),
    ("tense", "Where did Tesla live?", "Can you tell me where Tesla lived?"),
    ("tense", "What does the word mean?", "I want to know what the word means."),
    ("tense", "Who wrote the letter?", "Do you know who wrote the letter?"),
    ("person", "What is my password?", "Could you please tell me what my password is?"),
    ("direction", "What happened after the war?", "After the war, what happened?"),
    ("names", "What did Tesla buy in Denver?", "In Denver, what did Tesla buy?"),
    ("names", "Where do the farmers live?", "Where do the famrers live?"),
    ("polarity", "Where can I buy a ticket?", "Where can I purchase a ticket?"),
    ("order", "Which bridge was built when the war began?", "When the war began, which bridge was built?"),
    ("order", "What are the effects of tea?", "I wonder what the effects of tea are."),
    ("language", "Was ist die Hauptstadt von Peru?", "was ist die hauptstadt von peru"),
]


@pytest.mark.parametrize(("gate", "asked", "kept"), REFUSED)
def test_a_question_that_differs_in_what_counts_is_refused_by_name(gate: str, asked: str, kept: str) -> None:
    assert (judged(asked, kept).outcome, judged(asked, kept).gate) == ("refuse", gate)
    assert (judged(kept, asked).outcome, judged(kept, asked).gate) == ("refuse", gate)


@pytest.mark.parametrize(("gate", "asked", "kept"), SERVED)
def test_a_question_that_says_the_same_is_served(gate: str, asked: str, kept: str) -> None:
    assert judged(asked, kept).outcome == "serve", judged(asked, kept).reason
    assert judged(kept, asked).outcome == "serve"


def test_the_reason_says_what_differs() -> None:
    assert judged("What was sold in 2023?", "What was sold in 2022?").reason == (
        "dates differ: the question has '2023', the kept one '2022'"
    )
    assert judged("What was sold?", "What was not sold?").reason == (
        "negations differ: the question has none, the kept one 'not'"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does the contract say about the landlord?", "What does the contract say about the tenant?"),
        ("What may the lessor do with the keys?", "What may the lessee do with the keys?"),
        ("What do the trainers of the club do?", "What do the trainees of the club do?"),
        ("Which actor won the prize in Berlin?", "Which actress won the prize in Berlin?"),
    ],
)
def test_the_two_sides_of_a_relation_are_never_exchanged(one: str, other: str) -> None:
    for decided in (judged(one, other), judged(other, one)):
        assert (decided.outcome, decided.gate) == ("refuse", "polarity")
