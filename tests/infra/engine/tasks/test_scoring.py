"""Which unit answers best."""

from infra.engine.tasks.scoring import score, weigh
from infra.engine.tasks.units import read_sources
from infra.text.blocks import Block


def best(question: str, *bodies: str, turns: int = 1) -> str:
    sources = read_sources([Block("source", {"id": f"E{n}"}, body) for n, body in enumerate(bodies, start=1)])
    return score(weigh(question, sources, turns=turns), sources)[0].unit.text


CHAT = "Ann: What colour is the new boiler?\nBob: It is dark green.\nAnn: Lovely, thanks a lot."


def test_the_reply_to_a_question_scores_over_the_question():
    assert best("What colour is the new boiler?", CHAT) == "Bob: It is dark green."


def test_a_question_about_asking_finds_the_one_who_asks():
    assert best("Who asked about the colour of the boiler?", CHAT) == "Ann: What colour is the new boiler?"


def test_a_when_question_prefers_a_sentence_with_a_time():
    text = "The boiler was installed by two men. The boiler was installed in March 2019."
    assert best("When was the boiler installed?", text) == "The boiler was installed in March 2019."


def test_the_person_after_according_to_is_the_one_who_says_it():
    text = "Ann: The boiler is loud.\nBob: The boiler is fine."
    assert best("How is the boiler according to Bob?", text) == "Bob: The boiler is fine."
    assert best("How is the boiler in Bob's opinion?", text) == "Bob: The boiler is fine."


def test_a_heading_counts_for_what_follows_it():
    text = "# Boiler\n\nIt weighs 80 kg.\n\n# Lamp\n\nIt weighs 2 kg."
    assert best("How much does the lamp weigh?", text) == "It weighs 2 kg."


def test_of_equals_the_first_source_wins():
    assert best("Is the lamp bright?", "The lamp is bright, says one.", "The lamp is bright, says two.").endswith(
        "one."
    )


def test_interleaved_lists_have_two_firsts():
    two = ["The lamp is old.", "The lamp is bright."]
    sources = read_sources([Block("source", {"id": f"E{n}"}, body) for n, body in enumerate(two, start=1)])
    priors = {
        turns: [round(item.score, 6) for item in score(weigh("the lamp", sources, turns=turns), sources)]
        for turns in (1, 2)
    }
    assert priors[2] == [1.3, 1.3]
    assert priors[1] == [1.3, 1.15]


def test_a_menu_scores_under_a_sentence():
    menu = "Boiler Lamp Pump Valve Prices Service Contact Help Imprint"
    assert best("boiler prices", f"{menu}\n\nThe prices of a boiler are high.") == "The prices of a boiler are high."


def test_coverage_counts_the_neighbours_and_the_context():
    sources = read_sources([Block("source", {"id": "E1", "context": "Rome"}, "Ann: The pump broke.\nBob: On Friday.")])
    asked = weigh("Did the pump break in Rome on Friday?", sources)
    assert asked.share(frozenset()) == 0
    assert {round(item.coverage, 2) for item in score(asked, sources)} == {0.68}


def test_a_question_of_stop_words_scores_nothing_for_words():
    sources = read_sources([Block("source", {"id": "E1"}, "It is what it is.")])
    assert score(weigh("what is it?", sources), sources)[0].coverage == 0
