"""The evaluation sets of retrieval, read into one form: documents, questions, and the places that answer them.

A set is read from its folder of the evaluation data (see the README there for sources and licences); nothing of it is
kept in the tree. Documents get the names and the text they would have as files, so that every system under test reads
the same files; offsets count characters of that text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError

_MOMENT = re.compile(r"(\d{8}_\d\d):?(\d\d)")


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a document: half-open character offsets."""

    doc: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        text: what is asked.
        kind: ``single``, ``multi``, or ``null`` when the documents hold no answer.
        gold: the places that answer it; none for ``null``.
    """

    text: str
    kind: str
    gold: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Documents and questions about them.

    Attributes:
        name: the folder it was read from.
        documents: text by relative path.
        units: what recall counts in, in order (a record, a section); gold places are units, except where ``spans``.
        questions: in the set's order.
        spans: whether the gold places are exact spans, of which the covered share counts.
    """

    name: str
    documents: Mapping[str, str]
    units: tuple[Place, ...]
    questions: tuple[Question, ...]
    spans: bool = False


def read_lihua(folder: Path) -> EvaluationSet:
    """LiHua-World: 442 chat records, 321 questions; the unit is the record."""
    paths = sorted((folder / "records").rglob("*.txt"))
    documents = {path.relative_to(folder / "records").as_posix(): _text(path) for path in paths}
    whole = {Path(name).stem: Place(name, 0, len(text)) for name, text in documents.items()}
    questions: list[Question] = []
    for raw in _json(folder / "questions.json").values():
        # one question of the set has its evidence in the field of the answer
        named = _MOMENT.findall(raw["evidence"]) or _MOMENT.findall(raw["answer"])
        gold = tuple(whole[day + clock] for day, clock in dict.fromkeys(named) if day + clock in whole)
        questions.append(Question(raw["question"], raw["type"].lower(), gold))
    return EvaluationSet("lihua_world", documents, tuple(whole.values()), tuple(questions))


def read_manual(folder: Path) -> EvaluationSet:
    """anthropic_docs: 232 sections of a manual's 45 pages, each page one Markdown file; the unit is the section."""
    pages: dict[str, str] = {}
    units: dict[str, Place] = {}
    for section in _json(folder / "docs.json"):
        name = _page_name(section["chunk_link"])
        before = pages.get(name, "")
        body = section["text"].strip().removeprefix(section["chunk_heading"]).strip()
        pages[name] = f"{before}## {section['chunk_heading']}\n\n{body}\n\n"
        units[section["chunk_link"]] = Place(name, len(before), len(pages[name]))
    questions = tuple(
        Question(raw["question"], "single", tuple(units[link] for link in dict.fromkeys(raw["correct_chunks"])))
        for raw in _json(folder / "questions.json")
    )
    return EvaluationSet("anthropic_docs", pages, tuple(units.values()), questions)


def read_spans(folder: Path) -> EvaluationSet:
    """chunking: three long texts, 276 questions with the exact spans that answer them."""
    documents = {path.name: _text(path) for path in sorted(folder.glob("*.md"))}
    questions = tuple(
        Question(
            raw["question"], "single", tuple(Place(f"{raw['corpus']}.md", s["start"], s["end"]) for s in raw["spans"])
        )
        for raw in _json(folder / "questions.json")
    )
    return EvaluationSet("chunking", documents, (), questions, spans=True)


READERS = {"lihua_world": read_lihua, "anthropic_docs": read_manual, "chunking": read_spans}


def read_sets(data: Path) -> list[EvaluationSet]:
    """Read every set that lies in ``data``, or the one set that is ``data``.

    Raises:
        ConfigurationError: none does, or one is damaged.
    """
    if data.name in READERS and (data / "questions.json").is_file():
        return [READERS[data.name](data)]
    found = [read(data / name) for name, read in READERS.items() if (data / name / "questions.json").is_file()]
    if not found:
        raise ConfigurationError(f"--data {data} holds none of {', '.join(READERS)}; give the evaluation data's folder")
    return found


def _page_name(link: str) -> str:
    """A page's file name: the path of its address, the usual first folder left out."""
    path = re.sub(r"^https?://[^/]+/|#.*$", "", link).strip("/")
    return f"{path.removeprefix('en/')}.md"


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON of several shapes
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--data: {path} cannot be read: {error}") from error
