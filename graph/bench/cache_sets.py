"""What the answer cache is asked: labelled pairs of questions, and sets of questions with what answers them.

Pairs come from a file or from `graph.bench.rephrase`. Two questions of a set may share an answer only where they have
the same gold answer in the same place: another "Yes" is another answer. Nothing of the data is kept in the tree.
"""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError

from graph.bench.rephrase.__main__ import read_questions
from graph.bench.rephrase.make import make
from infra.errors import ConfigurationError

DOCUMENT_SETS = ("lihua_world", "anthropic_docs", "xquad_en")
BANKING = "banking77"
MAX_PAIRS = 200_000


class Pair(BaseModel):
    """Two questions, and whether one answer serves both; ``kind`` says how they differ, where that is known."""

    model_config = ConfigDict(frozen=True)

    a: StrictStr
    b: StrictStr
    same: StrictBool
    kind: StrictStr = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A set's different questions, and of each what answers it: equal for questions that may share an answer."""

    name: str
    gold: Mapping[str, str]


def read_pairs(file: Path) -> list[Pair]:
    """The pairs of a file, one JSON object a line.

    Raises:
        ConfigurationError: it cannot be read, or a line is no pair.
    """
    pairs: list[Pair] = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    pairs.append(_pair(file, number, line))
                if len(pairs) > MAX_PAIRS:
                    raise ConfigurationError(f"--pairs {file}: more than {MAX_PAIRS:,} pairs; give them in parts")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--pairs {file} cannot be read: {error}") from error
    if not pairs:
        raise ConfigurationError(f'--pairs {file} holds no pairs; give lines of {{"a": ..., "b": ..., "same": ...}}')
    return pairs


def _pair(file: Path, number: int, line: str) -> Pair:
    try:
        return Pair.model_validate_json(line)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"])) or "the line"
        raise ConfigurationError(
            f'--pairs {file}, line {number}: {where}: {wrong["msg"]}; needed: {{"a": text, "b": text, "same": bool}}'
        ) from error


def generated(data: Path, seed: int, per_kind: int) -> list[Pair]:
    """Rephrasings and hard negatives of the questions in ``data`` (see `graph.bench.rephrase`)."""
    made = make(read_questions(data), seed=seed, per_kind=per_kind)
    return [Pair(a=pair.a, b=pair.b, same=pair.same, kind=pair.kind) for pair in made]


def read_labelled(data: Path) -> list[Labelled]:
    """Those of the document sets and banking77 that lie in ``data``, banking77 last.

    Raises:
        ConfigurationError: none does, or one is damaged.
    """
    found: list[Labelled] = []
    for name, (file, read) in _READERS.items():
        if not (data / name / file).is_file():
            continue
        try:
            found.append(Labelled(name, read(data / name / file)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"--data: {data / name / file} cannot be read: {error}") from error
    if not found:
        raise ConfigurationError(
            f"--data {data} holds none of {', '.join(_READERS)}; give the evaluation data's folder"
        )
    return found


def _lihua(file: Path) -> dict[str, str]:
    """Answer and evidence; a question that the logs do not answer is answered by nothing else."""
    rows: Any = json.loads(file.read_text(encoding="utf-8"))
    return {
        _text(row["question"]): json.dumps(
            [row["answer"], row["evidence"] if row["type"] != "Null" else row["question"]]
        )
        for row in rows.values()
    }


def _manual(file: Path) -> dict[str, str]:
    rows: Any = json.loads(file.read_text(encoding="utf-8"))
    return {_text(row["question"]): json.dumps([row["correct_answer"], row["correct_chunks"]]) for row in rows}


def _squad(file: Path) -> dict[str, str]:
    articles: Any = json.loads(file.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    return {
        _text(asked["question"]): json.dumps([number, asked["answers"][0]["text"]])
        for number, paragraph in enumerate(paragraphs)
        for asked in paragraph["qas"]
    }


def _banking(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8", newline="") as lines:
        return {_text(row["text"]): row["category"] for row in csv.DictReader(lines)}


def _text(question: str) -> str:
    return " ".join(question.split())


_READERS: Mapping[str, tuple[str, Callable[[Path], dict[str, str]]]] = {
    "lihua_world": ("questions.json", _lihua),
    "anthropic_docs": ("questions.json", _manual),
    "xquad_en": ("xquad.en.json", _squad),
    BANKING: ("test.csv", _banking),
}
