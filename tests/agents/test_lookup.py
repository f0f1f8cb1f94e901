"""Which questions plainly are one look-up: whatever may have parts is the model's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.lookup import is_plain_lookup
from infra.engine.tasks.plan import is_compound
from infra.engine.tasks.words import QUESTION_WORDS


@pytest.mark.parametrize(
    "question",
    [
        "When did Ann open the bakery?",
        "who opened the bakery",
        "In which month did Ann open the bakery?",
        "Did Ann open the bakery?",
        "What is the price of bread on 2026-05-04?",
        "What's the price of bread?",
        "Who opened the bakery in Rome?",
        "Why did Ann visit the closed bakery to do her work?",
        "When was the bakery built?",
        "What does FP8 mean?",
        "How do I reset the v2.1 boiler?",
        "How many loaves does Ann sell a day?",
    ],
)
def test_a_short_clause_that_asks_one_thing_is_plain(question: str) -> None:
    assert is_plain_lookup(question)


@pytest.mark.parametrize(
    "question",
    [
        # several facts
        "When did Ann open the bakery and who helped?",
        "What do Ann and Bob drink?",
        "What does Ann drink? What does Bob drink?",
        "What are the size, price and weight?",
        "What does Ann drink & eat?",
        "What does Ann drink together with what Bob eats?",
        "What is the price of tea as well as coffee?",
        # comparisons and orders
        "Is Ann taller than Bob?",
        "Is tea or coffee cheaper?",
        "How does tea differ from coffee?",
        "What is the difference of FP8 to FP16?",
        "FP8 versus FP16?",
        "Did Ann leave before Bob came?",
        "What happened after the storm?",
        "In what order did they come?",
        "Whose shop opened first?",
        "Which of the two caches is cheaper to run?",
        "What sold in May as opposed to June?",
        "How long was it from the sale to the delivery?",
        # one thing through another
        "Where does the man who sold the mill live?",
        "What's the name of whoever's shop it is, who's there?",
        "Who knows what's new?",
        "What was the gift that Bob bought?",
        "What is Ann's brother's name?",
        "What did the Stones’ and Ann’s letter say?",
        "What is Ann's view of the mill?",
        "Who is the mother of the director of the film Titanic?",
        "What is the capital of the country of the author of Dune?",
        "Who is the mother of Titanic's director?",
        "What did the man Anna met in Paris buy?",
        "Who wrote the book Anna lent Bob?",
        "What will the man Anna is meeting buy?",
        "What happened on the day Anna was born?",
        "What happened the day Anna left?",
        "When was the company founded by the inventor of the pump sold?",
        # comparisons without "than", sums, several things side by side
        "Does the A100 outperform the H100?",
        "Does the price of the Alpha plan exceed the Beta plan?",
        "Did the revenue in 2023 surpass the forecast?",
        "How did revenue in 2023 change by 2022?",
        "What is the ratio of profit to cost?",
        "What is the total for tea with milk?",
        "How does Alpha stack up against Beta?",
        "Is Ann taller?",
        "Which plan is the cheapest?",
        "What do Alpha with Beta cost?",
        "What are the prices of Alpha | Beta?",
        "What are the prices of Alpha - Beta?",
        "What are the prices of Alpha – Beta?",
        "What are the prices of Alpha—Beta?",
        # conditions
        "What happens if the boiler fails?",
        "Who opened it when Ann left?",
        # no question, too short or too long, another language
        "boiler warranty",
        "Why?",
        "Tell me about the boiler",
        "Explain the boiler warranty: what is covered",
        "Wann hat Ann die Bäckerei eröffnet?",
        "What " + "very " * 40 + "old boiler is it?",
        "What is " + "x" * 250 + " for?",
        "Whatever\nyou know of the boiler",
        "",
    ],
)
def test_what_may_have_parts_is_not_plain(question: str) -> None:
    assert not is_plain_lookup(question)


WORDS = st.sampled_from(
    "what when who did is Ann Bob the bakery and or than before that 's open 2021 , ? . between".split()  # noqa: SIM905
)


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_a_plain_question_has_one_question_word_at_most_and_the_engine_finds_no_parts(question: str) -> None:
    if is_plain_lookup(question):
        assert not is_compound(question)
        assert sum(word in QUESTION_WORDS for word in question.casefold().split()) <= 1
        assert {"and", "or", "than", "before", "that", "between", ","}.isdisjoint(question.split())


@given(st.text(max_size=300))
def test_any_text_is_decided(text: str) -> None:
    assert is_plain_lookup(text) in (True, False)
