"""Princeton WordNet's database files, read: senses with their tag counts, synonyms, antonyms, instances, kinds.

The files are those of WordNet 3.1's ``dict`` folder (formats: the manual pages ``wndb(5WN)`` and ``senseidx(5WN)``).
Read by ``build_lists`` only; nothing at run time needs them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import ConfigurationError

FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}
_SENSE_POS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}

Synset = tuple[str, str]
"""Part of speech (n, v, a, r) and offset in the data file: eight digits."""


@dataclass(frozen=True, slots=True)
class Sense:
    """One sense of a word, with how often it was tagged in the annotated texts of Princeton."""

    synset: Synset
    tags: int


@dataclass(frozen=True, slots=True)
class WordNet:
    """What the lists need.

    Attributes:
        senses: by lower-case lemma, words joined by ``_``.
        lemmas: the words of a synset as they are written.
        antonyms: pairs of (synset, lemma), as written in the files.
        below: hyponyms of a synset.
        instances: instances of a synset.
    """

    senses: dict[str, list[Sense]] = field(default_factory=lambda: defaultdict[str, list[Sense]](list))
    lemmas: dict[Synset, list[str]] = field(default_factory=dict[Synset, list[str]])
    antonyms: list[tuple[tuple[Synset, str], tuple[Synset, str]]] = field(
        default_factory=list[tuple[tuple[Synset, str], tuple[Synset, str]]]
    )
    below: dict[Synset, list[Synset]] = field(default_factory=lambda: defaultdict[Synset, list[Synset]](list))
    instances: dict[Synset, list[Synset]] = field(default_factory=lambda: defaultdict[Synset, list[Synset]](list))

    def tags(self, lemma: str, synset: Synset | None = None) -> int:
        """How often a lemma was tagged, in one sense or in all."""
        return sum(s.tags for s in self.senses.get(lemma.lower(), ()) if synset in {None, s.synset})

    def share(self, lemma: str, synset: Synset) -> float:
        """The share of a lemma's tags that one sense has; 1.0 for the only sense."""
        senses = self.senses.get(lemma.lower(), [])
        if len(senses) == 1:
            return 1.0
        return self.tags(lemma, synset) / (self.tags(lemma) or 1)

    def under(self, synset: Synset) -> Iterator[Synset]:
        """A synset and all below it, each once."""
        seen = {synset}
        queue = [synset]
        while queue:
            at = queue.pop()
            yield at
            fresh = [child for child in self.below.get(at, ()) if child not in seen]
            seen.update(fresh)
            queue.extend(fresh)

    def find(self, *lemmas: str) -> Synset:
        """The noun synset that begins with these lemmas."""
        found = [s.synset for s in self.senses.get(lemmas[0].lower(), ()) if s.synset[0] == "n"]
        return next(synset for synset in found if tuple(self.lemmas[synset][: len(lemmas)]) == lemmas)


def read_wordnet(folder: Path) -> WordNet:
    """Read a ``dict`` folder.

    Raises:
        ConfigurationError: a file is missing.
    """
    found = WordNet()
    try:
        for line in (folder / "index.sense").read_text(encoding="ascii").splitlines():
            key, offset, _, tags = line.split()
            lemma, rest = key.split("%")
            found.senses[lemma].append(Sense((_SENSE_POS[rest[0]], offset), int(tags)))
        for pos, name in FILES.items():
            for line in (folder / name).read_text(encoding="utf-8").splitlines():
                if not line.startswith(" "):
                    _read_synset(line, pos, found)
    except OSError as error:
        raise ConfigurationError(f"--dict {folder} is not WordNet's dict folder: {error}") from error
    _name_antonyms(found)
    return found


def _read_synset(line: str, pos: str, into: WordNet) -> None:
    parts = line.split("|")[0].split()
    synset = (pos, parts[0])
    count = int(parts[3], 16)
    into.lemmas[synset] = [re.sub(r"\(.*\)", "", word) for word in parts[4 : 4 + 2 * count : 2]]
    at = 4 + 2 * count
    for number in range(int(parts[at])):
        kind, offset, other_pos, which = parts[at + 1 + 4 * number : at + 5 + 4 * number]
        other = ("a" if other_pos == "s" else other_pos, offset)
        if kind == "@":
            into.below[other].append(synset)
        elif kind == "@i":
            into.instances[other].append(synset)
        elif kind == "!" and which != "0000":
            into.antonyms.append(((synset, which[:2]), (other, which[2:])))


def _name_antonyms(found: WordNet) -> None:
    """The files name antonyms by their number in the synset; put the words there."""
    named = [
        tuple((synset, found.lemmas[synset][int(number, 16) - 1]) for synset, number in pair) for pair in found.antonyms
    ]
    found.antonyms[:] = [(one, other) for one, other in named]
