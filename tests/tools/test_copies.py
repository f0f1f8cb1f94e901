"""Of passages that say the same, the best is shown."""

from dataclasses import dataclass

import pytest

from tools.copies import same, without_copies

LONG = " ".join(f"Word{n} of the treaty about harbour dues." for n in "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Said:
    text: str


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (LONG, True),
        (LONG.upper(), True),
        (LONG.replace("Wordm", "Wordz"), True),
        (LONG.replace("Wordm", "Invoice 17"), False),
        (LONG.replace("harbour", "airport"), False),
        (LONG[: len(LONG) // 2], False),
    ],
)
def test_texts_are_the_same_when_nearly_all_runs_of_words_and_all_numbers_are(other: str, expected: bool):
    assert same(LONG, other) is expected
    assert same(other, LONG) is expected


def test_texts_without_words_are_the_same_only_to_the_letter():
    assert same("...", "...")
    assert not same("the rent is 90", "the rent is 95")


def test_the_first_of_each_is_kept_in_order_until_enough_are():
    passages = [Said("mill"), Said("forge"), Said("mill"), Said("inn"), Said("church")]
    assert without_copies(passages, wanted=3) == [Said("mill"), Said("forge"), Said("inn")]
    assert without_copies(passages, wanted=9) == [Said("mill"), Said("forge"), Said("inn"), Said("church")]
