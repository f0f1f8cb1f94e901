"""Judgements of claims."""

from infra.text.blocks import block
from tests.infra.engine.tasks.calls import do, question, source

SOURCE = source(
    "E1",
    "The boiler was installed in March 2019 by Ann Miller.\nIt holds 1,200 litres. It does not need a permit.",
    context="Notes of Bob",
)


def verdict(claim: str, marks: str = "E1") -> tuple[bool, str]:
    reply = do("judge", SOURCE, question("?"), block("claim", claim, id="7", marks=marks))
    (judgement,) = reply["judgements"]
    assert judgement["claim"] == "7"
    return judgement["supported"], judgement["reason"]


def test_a_claim_that_stands_in_the_source_is_supported():
    assert verdict("The boiler was installed in March 2019 by Ann Miller.") == (True, "it stands in the source")


def test_case_line_breaks_and_the_last_mark_do_not_count():
    assert verdict("the boiler was\ninstalled in march 2019") == (True, "it stands in the source")


def test_a_claim_in_other_words_is_supported_when_its_words_stand_together():
    assert verdict("In March 2019 Ann Miller installed a boiler.") == (True, "the source says so in other words")


def test_other_numbers_are_not_supported():
    assert verdict("The boiler, installed by Ann Miller in March, holds 1,300 litres of the litres it holds.") == (
        False,
        "its numbers are not there",
    )
    assert verdict("It holds 1200 litres.") == (True, "the source says so in other words")


def test_other_names_are_not_supported_but_the_context_counts():
    assert verdict("The boiler was installed in March 2019 by Ann Baker.") == (False, "its names are not there")
    assert verdict("Notes of Bob: the boiler was installed in March 2019 by Miller.")[0] is False
    assert verdict("Installed in March 2019 by Ann Miller was the boiler of Bob.") == (
        True,
        "the source says so in other words",
    )


def test_the_opposite_is_not_supported():
    assert verdict("The boiler was not installed in March 2019 by Ann Miller.") == (
        False,
        "the source says the opposite",
    )
    assert verdict("It needs a permit.") == (False, "the source says the opposite")
    assert verdict("A permit isn’t needed.") == (True, "the source says so in other words")


def test_words_from_elsewhere_are_not_supported():
    assert verdict("The roof leaks badly.") == (False, "its words do not stand together in the marked sources")


def test_a_claim_without_words_or_without_a_known_mark_is_not_supported():
    assert verdict("It is what it is.") == (False, "it says nothing")
    assert verdict("The boiler was installed in March 2019.", marks="E9") == (False, "it marks no source that is given")


def test_marks_may_be_parted_by_commas_and_any_of_them_may_support():
    assert verdict("It holds 1,200 litres.", marks="E9, E1") == (True, "it stands in the source")


def test_without_claims_there_are_no_judgements():
    assert do("judge", SOURCE, question("?")) == {"judgements": []}
