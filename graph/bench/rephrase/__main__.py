"""``python -m graph.bench.rephrase --data DIR --out FILE.jsonl``: labelled pairs, for ``graph.bench cache --pairs``."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from graph.bench.rephrase.make import NEGATIVES, REPHRASINGS, make
from graph.bench.sets import READERS, read_sets
from infra.errors import ConfigurationError, DocMindError

PER_KIND = 400
SEED = 5
_SQUAD = "xquad.en.json"


def read_questions(data: Path) -> dict[str, list[str]]:
    """The questions of the sets in a folder, by set.

    Raises:
        ConfigurationError: none lies there, or one is damaged.
    """
    squad = next((file for file in (data / "xquad_en" / _SQUAD, data / _SQUAD) if file.is_file()), None)
    others = data.name in READERS or any((data / name / "questions.json").is_file() for name in READERS)
    read = read_sets(data) if others or not squad else []
    found = {one.name: [question.text for question in one.questions] for one in read}
    if squad:
        try:
            raw: Any = json.loads(squad.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigurationError(f"--data: {squad} cannot be read: {error}") from error
        found["xquad_en"] = [q["question"] for a in raw["data"] for p in a["paragraphs"] for q in p["qas"]]
    return found


def write(
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data.")],
    out: Annotated[Path, typer.Option(help="Where the pairs go, one JSON object a line: a, b, same, kind, what, set.")],
    seed: Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same pairs.")] = SEED,
    per_kind: Annotated[int, typer.Option(min=1, max=100_000, help="Pairs of each kind, at most.")] = PER_KIND,
) -> None:
    """Write rephrasings (same) and hard negatives of the evaluation sets' questions.

    Needs no model. The last line is JSON: pairs by kind. The words come from WordNet and the other sources that
    data/SOURCES.md names.
    """
    sets = read_questions(data)
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigurationError(f"--out {out} cannot be written; name a file in a folder that exists")

    def done(kind: str, count: int) -> None:
        typer.echo(f"{'same' if kind in REPHRASINGS else 'different'}: {kind}: {count}", err=True)

    counts: Counter[str] = Counter()
    with out.open("w", encoding="utf-8") as file:
        for pair in make(sets, seed=seed, per_kind=per_kind, done=done):
            counts[pair.kind] += 1
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
    same, different = ({kind: counts[kind] for kind in kinds} for kinds in (REPHRASINGS, NEGATIVES))
    typer.echo(json.dumps({"pairs": counts.total(), "same": same, "different": different}))


def main() -> None:
    """Run the command; what DocMind raises on purpose becomes one line and exit code 2."""
    try:
        typer.run(write)
    except DocMindError as error:
        typer.echo(f"docmind: {error}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
