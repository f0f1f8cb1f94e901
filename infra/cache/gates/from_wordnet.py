"""Word lists from Princeton WordNet: antonym pairs, known words, names. Run by hand when the lists are made anew.

``python -m infra.cache.gates.from_wordnet DICT_FOLDER`` writes antonyms.tsv, words.txt and names.txt into the folder of
the English lexicon. Words are kept as their Snowball stems, so that one line stands for all forms of a word.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.cache.gates.lexicon import FOLDER, stem

_WORD = re.compile(r"[A-Za-z]{3,}")
_ANTONYM = "!"
_POINTER_FIELDS = 4
_SOURCE = "# Princeton WordNet 3.1 ({what}), made by infra.cache.gates.from_wordnet; its licence: LICENSE-WORDNET.txt\n"


def _synsets(folder: Path) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Each synset's place, words, and pointers (kind, place, part of speech, source and target)."""
    for letter, part in (("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv")):
        for line in (folder / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            words = [re.sub(r"\(.*\)", "", word) for word in fields[4 : 4 + 2 * count : 2]]
            rest = fields[4 + 2 * count :]
            pointers = [
                rest[at : at + _POINTER_FIELDS] for at in range(1, 1 + int(rest[0]) * _POINTER_FIELDS, _POINTER_FIELDS)
            ]
            yield letter + fields[0], words, pointers


def _antonyms(synsets: dict[str, tuple[list[str], list[list[str]]]]) -> set[tuple[str, str]]:
    """Pairs of stems: each word of a synset with each of the synset that one of its words is the opposite of."""
    found: set[tuple[str, str]] = set()
    for words, pointers in synsets.values():
        for kind, place, part, _ in pointers:
            if kind == _ANTONYM:
                others = synsets[{"s": "a"}.get(part, part) + place][0]
                found |= {_pair(one, other) for one in words for other in others if _plain(one) and _plain(other)}
    return {(one, other) for one, other in found if one != other}


def _plain(word: str) -> bool:
    return _WORD.fullmatch(word) is not None


def _pair(one: str, other: str) -> tuple[str, str]:
    first, second = sorted((stem(one.lower()), stem(other.lower())))
    return first, second


def main() -> None:
    """Write the three lists."""
    read = {place: (words, pointers) for place, words, pointers in _synsets(Path(sys.argv[1]))}
    every = {word for words, _ in read.values() for word in words if _WORD.fullmatch(word)}
    known = {stem(word) for word in every if word.islower()}
    names = {word.lower() for word in every if not word.islower()}
    names = {word for word in names if word not in every and stem(word) not in known}
    antonyms = (f"{one}\t{other}" for one, other in sorted(_antonyms(read)))
    lists = {
        "antonyms.tsv": ("antonym pairs", antonyms),
        "words.txt": ("stems of its words", sorted(known)),
        "names.txt": ("words written with capitals only", sorted(names)),
    }
    for name, (what, lines) in lists.items():
        (FOLDER / name).write_text(_SOURCE.format(what=what) + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
