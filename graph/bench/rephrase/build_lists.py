"""Makes the word lists of the generator from Princeton WordNet: run once, by hand, when the source changes.

``python -m graph.bench.rephrase.build_lists --dict DIR --exceptions DIR --contractions FILE`` writes the files of
``data/``; ``data/SOURCES.md`` says where the arguments come from, and their licences. ``synonyms.tsv`` is also read:
its pairs were chosen by reading what WordNet offers, and each must stand in one synset, which is written beside it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from graph.bench.rephrase.wordnet import Synset, WordNet, read_wordnet
from infra.errors import ConfigurationError, DocMindError

DATA = Path(__file__).parent / "data"

ANTONYM_SHARE = 0.25
"""Least share of a word's tags that the sense with the antonym has: below it the word mostly means something else."""

PLAIN_SHARE = 0.97
"""Share of a word's tags from which on it counts as one part of speech only."""

_WORD = re.compile(r"[a-z]{2,}")
_NAME = re.compile(r"[A-Z][a-z]+(_[A-Z][a-z]+){0,2}")

UNITS = {
    ("length", "linear_unit"): "inch foot yard mile millimeter centimeter meter kilometer kilometre metre",
    ("area", "area_unit"): "acre hectare",
    ("mass", "mass_unit"): "ounce pound gram kilogram ton",
    ("volume", "volume_unit"): "pint quart gallon liter milliliter barrel bushel",
    ("time", "time_unit"): "second minute hour day month",
    ("time", "time_period"): "week year decade century",
    ("money", "monetary_unit"): "cent penny dollar pound euro yen franc rupee peso",
    ("data", "computer_memory_unit"): "byte kilobyte megabyte gigabyte terabyte",
    ("power", "power_unit"): "watt kilowatt megawatt horsepower",
}
"""Common units under a heading of WordNet's, which says what they measure."""

CALENDAR = {"month": ("Gregorian_calendar_month",), "weekday": ("day_of_the_week",)}
PLACES: dict[str, tuple[str, ...]] = {
    "country": ("country", "state", "land"),
    "city": ("city", "metropolis", "urban_center"),
    "state": ("American_state",),
    "river": ("river",),
    "island": ("island",),
    "mountain": ("mountain_peak",),
}
TRADES = """
    writer composer philosopher painter physicist mathematician statesman general chemist inventor explorer astronomer
    historian economist singer actor actress architect film_maker biologist
"""


def antonyms(net: WordNet) -> list[list[str]]:
    """Direct antonyms of which both words are mostly, or often, meant so: part of speech and the two words."""
    rows = {
        (one[0][0], *sorted((one[1], other[1])))
        for one, other in net.antonyms
        if all(_WORD.fullmatch(word) and _common(net, word, synset) for synset, word in (one, other))
    }
    return sorted(list(row) for row in rows)


def _common(net: WordNet, word: str, synset: Synset) -> bool:
    return net.tags(word, synset) > 0 and net.share(word, synset) >= ANTONYM_SHARE


def synonyms(net: WordNet, chosen: Iterable[list[str]]) -> list[list[str]]:
    """The chosen pairs, each with the synset of both words, and whether the first is one part of speech only.

    Raises:
        ConfigurationError: WordNet does not hold a pair.
    """
    rows: list[list[str]] = []
    for pos, word, synonym, *_ in chosen:
        shared = [
            sense.synset
            for sense in net.senses.get(word, ())
            if sense.synset[0] == pos and synonym in {lemma.lower() for lemma in net.lemmas[sense.synset]}
        ]
        if not shared:
            raise ConfigurationError(f"synonyms.tsv: WordNet has no synset with {word} and {synonym} ({pos})")
        best = max(shared, key=lambda synset: net.tags(word, synset))
        whole = net.tags(word) or 1
        same = sum(sense.tags for sense in net.senses[word] if sense.synset[0] == pos)
        plain = len({sense.synset[0] for sense in net.senses[word]}) == 1 or same / whole >= PLAIN_SHARE
        rows.append([pos, word, synonym, f"{best[0]}{best[1]}", "plain" if plain else "mixed"])
    return sorted(rows)


def series(net: WordNet) -> list[list[str]]:
    """Units by what they measure, months, days of the week, number words: class, synset or value, word.

    Raises:
        ConfigurationError: WordNet does not put a unit under its heading.
    """
    rows: list[list[str]] = []
    for (name, root), words in UNITS.items():
        below = {lemma: synset for synset in net.under(net.find(root)) for lemma in net.lemmas[synset]}
        if missing := [word for word in words.split() if word not in below]:
            raise ConfigurationError(f"WordNet has no {', '.join(missing)} under {root}")
        rows += [[name, below[word][1], word] for word in words.split()]
    for name, lemmas in CALENDAR.items():
        for synset in (at for below in net.under(net.find(*lemmas)) for at in (below, *net.instances.get(below, ()))):
            word = net.lemmas[synset][0]
            if re.fullmatch(r"[A-Z][a-z]+", word) and net.tags(word, synset):
                rows.append([name, synset[1], word])
    for name in ("cardinal", "ordinal"):
        rows += [[name, number, word] for number, word in _numbers(net, name)]
    return sorted(rows)


def _numbers(net: WordNet, name: str) -> list[tuple[str, str]]:
    """The most used number word of each value: WordNet writes the figure into the synset of the word."""
    best: dict[str, tuple[int, str]] = {}
    for synset, lemmas in net.lemmas.items():
        value = next((lemma for lemma in lemmas if re.fullmatch(r"\d{1,2}(st|nd|rd|th)?", lemma)), None)
        if synset[0] == "a" and value and value.isdigit() == (name == "cardinal"):
            spelled = [(net.tags(word, synset), word) for word in lemmas if _WORD.fullmatch(word)]
            best[value] = max([*spelled, best.get(value, (-1, ""))])
    return [(value, word) for value, (_, word) in best.items() if not set(word) <= set("ivxlc")]


def names(net: WordNet) -> list[list[str]]:
    """Names of places and surnames: class, synset, how often tagged, name.

    A name of several classes is put down for the one in which it was tagged most, and left out where two tie.
    """
    found: dict[str, set[tuple[int, str, str]]] = {}
    countries = set(net.under(net.find(*PLACES["country"])))
    for name, lemmas in PLACES.items():
        for at in _instances(net, net.find(*lemmas), () if name == "country" else countries):
            for word in _places(net, at, strict=name != "country"):
                found.setdefault(word, set()).add((net.tags(word, at), name, at[1]))
    for at in (at for trade in TRADES.split() for at in _instances(net, net.find(trade), ())):
        for word in _surnames(net, at):
            found.setdefault(word, set()).add((net.tags(word, at), "person", at[1]))
    rows = [[*_first(classes), word] for word, classes in found.items()]
    return sorted(row for row in rows if row[0])


def _first(classes: set[tuple[int, str, str]]) -> list[str]:
    best = max(classes)
    tied = {name for tags, name, _ in classes if tags == best[0]}
    return [best[1] if len(tied) == 1 else "", best[2], str(best[0])]


def _instances(net: WordNet, root: Synset, but: Iterable[Synset]) -> Iterator[Synset]:
    for kind in net.under(root):
        if kind not in but:
            yield from net.instances.get(kind, ())


def _places(net: WordNet, synset: Synset, *, strict: bool) -> list[str]:
    found = [word for word in net.lemmas[synset] if _NAME.fullmatch(word)]
    return [word for word in found if not strict or _only_a_name(net, word)]


def _surnames(net: WordNet, synset: Synset) -> list[str]:
    return [word for word in net.lemmas[synset] if re.fullmatch(r"[A-Z][a-z]{3,}", word) and _only_a_name(net, word)][
        :1
    ]


def _only_a_name(net: WordNet, word: str) -> bool:
    """No sense of it is written with a small letter."""
    return not any(word.lower() in net.lemmas[sense.synset] for sense in net.senses[word.lower()])


def irregular(exceptions: Path, net: WordNet) -> list[list[str]]:
    """Irregular forms of verbs and nouns that were tagged at all: part of speech, form, lemma."""
    rows: list[list[str]] = []
    for pos, name in (("n", "noun.exc"), ("v", "verb.exc")):
        for line in (exceptions / name).read_text(encoding="ascii").splitlines():
            form, *lemmas = line.split()
            if _WORD.fullmatch(form):
                rows += [[pos, form, lemma] for lemma in lemmas if net.tags(lemma) and _WORD.fullmatch(lemma)]
    return sorted(rows)


def vocabulary(net: WordNet) -> list[list[str]]:
    """Words that a typing mistake must not hit: tagged words of 4 to 10 letters."""
    return [[word] for word in sorted(net.senses) if re.fullmatch("[a-z]{4,10}", word) and net.tags(word)]


def contractions(file: Path) -> list[list[str]]:
    """Contractions of two words, one of which is an auxiliary or "not": full form, contraction."""
    pairs: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    short = {(full.lower(), form.lower()) for form, full in pairs.items()}
    kept = [pair for pair in short if re.fullmatch(r"[a-z]+('ll|'s|'re|'ve|n't|'m)", pair[1])]
    return sorted([full, form] for full, form in kept if full.count(" ") == 1 or full == "cannot")


def main(
    dict_folder: Annotated[Path, typer.Option("--dict", help="WordNet's dict folder.")],
    exceptions: Annotated[Path, typer.Option(help="The folder with WordNet's noun.exc and verb.exc.")],
    contractions_file: Annotated[Path, typer.Option("--contractions", help="contractions_dict.json.")],
) -> None:
    """Write the word lists into data/, from WordNet and the list of contractions."""
    net = read_wordnet(dict_folder)
    chosen = [line.split("\t") for line in (DATA / "synonyms.tsv").read_text(encoding="utf-8").splitlines()]
    lists = {
        "antonyms": antonyms(net),
        "contractions": contractions(contractions_file),
        "irregular": irregular(exceptions, net),
        "names": names(net),
        "series": series(net),
        "synonyms": synonyms(net, chosen),
        "vocabulary": vocabulary(net),
    }
    for name, rows in lists.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (DATA / f"{name}.tsv").write_text(text, encoding="utf-8")
        typer.echo(f"{name}.tsv: {len(rows)} rows, {len(text)} bytes", err=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except DocMindError as error:
        typer.echo(f"docmind: {error}", err=True)
        raise SystemExit(2) from error
