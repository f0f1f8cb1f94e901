"""What kind of answer is asked for, and which sentences hold one."""

import pytest

from infra.engine.tasks.answer_type import AnswerType, answer_type, holds_answer
from infra.engine.tasks.sentence_kinds import asks, is_remark, is_suggestion


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did it rain?", "when"),
        ("What time is lunch?", "when"),
        ("What is the date of the fair?", "when"),
        ("How long does it take?", "when"),
        ("Who came?", "who"),
        ("Which person came?", "who"),
        ("Where is the key?", "where"),
        ("What is the address of the shop?", "where"),
        ("How many apples are left?", "number"),
        ("What size is the window?", "number"),
        ("Why did it stop?", "why"),
        ("What reason did Ann give?", "why"),
        ("Which book does Ann like?", "title"),
        ("How does it work?", "how"),
        ("What does Ann like?", "thing"),
        ("Did it rain?", "yes_no"),
        ("When was it that Ann left?", "yes_no"),
    ],
)
def test_the_question_word_and_its_noun_tell_the_kind(question: str, kind: AnswerType):
    assert answer_type(question) == kind


@pytest.mark.parametrize(
    ("kind", "text", "holds"),
    [
        ("when", "We met on Fridays.", True),
        ("when", "It is at 7 pm.", True),
        ("when", "It was in 1998.", True),
        ("when", "It may rain.", False),
        ("number", "There are three.", True),
        ("number", "It costs 5 euros.", True),
        ("number", "It costs a lot.", False),
        ("why", "Because it was late.", True),
        ("why", "It was late.", False),
        ("who", "It was the work of Ann.", True),
        ("who", "it was late", False),
        ("title", 'He reads "Emma".', True),
        ("title", "He reads a book.", False),
        ("where", "It is under the mat.", True),
        ("where", "It broke.", False),
        ("thing", "Anything.", False),
    ],
)
def test_a_text_holds_an_answer_of_a_kind(kind: AnswerType, text: str, holds: bool):
    assert holds_answer(kind, text) is holds


def test_a_speaker_answers_who():
    assert holds_answer("who", "it was me", speaker="Ann")


def test_questions_suggestions_and_remarks_are_told_apart():
    assert asks("Is it late? 🙂")
    assert not asks('She asked "why?" and left.')
    assert is_suggestion("How about Friday at three?")
    assert not is_suggestion("Is it late?")
    assert not is_suggestion("What shall we do?")
    assert is_remark("What do you think?")
    assert is_remark("Any ideas?")
    assert not is_remark("Is the green valve closed?")
