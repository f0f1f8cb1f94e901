"""One typing mistake: a neighbouring key, a letter left out, put twice, or two letters exchanged.

Keyboard: the letter keys of the US layout (ANSI INCITS 154-1988), each row set off by the usual fraction of a key.
Kinds of mistakes: Damerau, CACM 7(3), 1964. Names, ids and numbers are left alone, and no mistake makes another known
word.
"""

from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.inflect import lemmas
from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.text import SMALL, Question

ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
SHORTEST = 5
"""Letters a word has at least: in shorter ones a mistake too often leaves nothing to recognise."""

_REACH = 1.3
"""Distance in keys up to which two keys are neighbours: the six around a key."""


def neighbours() -> dict[str, str]:
    """The letters whose keys touch a letter's key."""
    places = {letter: (x + shift, y) for y, (row, shift) in enumerate(ROWS) for x, letter in enumerate(row)}
    return {
        letter: "".join(other for other, at in places.items() if 0 < (at[0] - x) ** 2 + (at[1] - y) ** 2 <= _REACH**2)
        for letter, (x, y) in places.items()
    }


_NEIGHBOURS = neighbours()


def typo(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """One mistake in one word of small letters."""
    named = {number for start, end in question.names for number in range(start, end)}
    known = source.words.cardinals.keys() | source.words.ordinals.keys()
    places = [
        number
        for number, token in enumerate(question.tokens)
        if number not in named
        and len(token.text) >= SHORTEST
        and token.text.isascii()
        and token.text.isalpha()
        and token.text.islower()
        and token.text not in known
    ]
    for number in rng.sample(places, len(places)):
        word = question.tokens[number].text
        wrong = _mistyped(word, rng)
        if wrong != word and not _is_word(wrong, source):
            yield Change(question.replaced(number, wrong), f"{word} → {wrong}")


def _mistyped(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    match rng.choice(("substitution", "omission", "insertion", "transposition")):
        case "substitution":
            return word[:at] + rng.choice(_NEIGHBOURS[word[at]]) + word[at + 1 :]
        case "omission":
            return word[:at] + word[at + 1 :]
        case "insertion":
            return word[:at] + rng.choice(_NEIGHBOURS[word[at]] + word[at]) + word[at:]
        case _:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _is_word(text: str, source: Source) -> bool:
    known = source.words.vocabulary | SMALL
    return any(lemma in known for pos in "vna" for lemma, _ in lemmas(text, pos, source.words))
