"""State compression over real findings: how much smaller a note is, and what of the text still stands in it.

Each question of ``chunking`` and ``xquad_en`` is searched as always; what the retrieval agent would say of the finding
is compressed for the question. Of the questions whose finding holds a span that answers them whole it counts: tokens
before and after (of the embedded engine's tokenizer), the question's own facts (words of it with a digit, a path or an
identifier, looked for by plain comparison of words, not by the code under test), and the spans that stand in the note
word for word. Beside it two ways to be as short: the first tokens of the text, and the sentences that hold most of the
question's words. Both get exactly as many tokens as our note took. No model is asked; times are wall clock.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from graph.bench.report import quantiles, share
from graph.bench.sets import EvaluationSet, Place, Question, read_spans
from graph.nodes import listing
from graph.notes import tokens
from infra.engine.tokenizer import decode, encode
from infra.errors import ConfigurationError
from infra.settings import Settings
from infra.store.embeddings import Embedder
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from infra.text.extract import extract
from infra.text.sentences import split_sentences
from infra.text.terms import terms
from tools.compress import Note, compress
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import open_retriever

SAMPLE = 300
"""Questions of a set: with two sets three minutes on two cores, most of it searching."""
SEED = 6
OURS, HEAD, WORDS = "ours", "first_tokens", "question_words"
AIMS = {"saved": 0.7, "facts_kept": 1.0, "spans_kept": 0.97}
SMALLER = 0.98

_FACT = re.compile(r"\d|[^\W_]_[^\W_]|\w[/\\]\w|[a-z][A-Z]")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what retrieval said.

    Attributes:
        question: what is asked.
        said: the words of the retrieval agent.
        spans: the spans that answer the question and stand whole in a passage found.
    """

    question: str
    said: str
    spans: tuple[str, ...]


def run(
    data: Path, settings: Settings, *, sample: int = SAMPLE, passages: int | None = None, console: Console | None = None
) -> dict[str, dict[str, Row]]:
    """Measure both sets, or the one that lies in ``data``.

    Args:
        data: the folder of the evaluation data.
        settings: where indexes are kept, the embedding model and the search.
        sample: questions of a set, chosen by a fixed seed.
        passages: how many are found for a question; None: as many as always.
        console: where progress is shown; None: nowhere.

    Returns:
        For each set the figures of each way to compress; shares are of 1.

    Raises:
        ConfigurationError: ``data`` holds neither set, or one is damaged.
        StoreError: the data directory cannot be read or written.
    """
    read = {"chunking": ("questions.json", read_spans), "xquad_en": ("xquad.en.json", read_xquad)}
    found = [reader(data / name) for name, (file, reader) in read.items() if (data / name / file).is_file()]
    if not found:
        raise ConfigurationError(f"--data {data} holds none of {', '.join(read)}; give the evaluation data's folder")
    embedder = open_embedder(settings)
    with Progress(console=console, transient=True, disable=console is None) as progress:
        figures: dict[str, dict[str, Row]] = {}
        for evaluated in found:
            asked = _sampled(evaluated.questions, sample)
            task = progress.add_task(evaluated.name, total=2 * len(asked))
            cases = _cases(evaluated, asked, _Search(settings, embedder, passages), lambda t=task: progress.advance(t))
            figures[evaluated.name] = _measured(cases, len(asked), lambda t=task: progress.advance(t))
            progress.update(task, completed=2 * len(asked))
    return figures


def read_xquad(folder: Path) -> EvaluationSet:
    """xquad_en: 240 paragraphs in 48 articles, a file each; the gold place is the answer's span.

    Raises:
        ConfigurationError: the file is damaged.
    """
    documents: dict[str, str] = {}
    questions: list[Question] = []
    try:
        articles = json.loads((folder / "xquad.en.json").read_text(encoding="utf-8"))["data"]
        for number, article in enumerate(articles):
            name, text = f"{number:02d}.md", ""
            for paragraph in article["paragraphs"]:
                for raw in paragraph["qas"]:
                    answer = raw["answers"][0]
                    start = len(text) + answer["answer_start"]
                    place = Place(name, start, start + len(answer["text"]))
                    questions.append(Question(raw["question"], "single", (place,)))
                text += paragraph["context"] + "\n\n"
            documents[name] = text
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"--data: {folder / 'xquad.en.json'} cannot be read: {error}") from error
    return EvaluationSet("xquad_en", documents, (), tuple(questions), spans=True)


def _sampled(questions: Sequence[Question], sample: int) -> list[Question]:
    chosen = random.Random(SEED).sample(range(len(questions)), min(sample, len(questions)))
    return [questions[number] for number in sorted(chosen)]


@dataclass(frozen=True, slots=True)
class _Search:
    settings: Settings
    embedder: Embedder
    passages: int | None


def _cases(
    evaluated: EvaluationSet, asked: Sequence[Question], search: _Search, advance: Callable[[], None]
) -> list[Case]:
    """Search every question; return the cases in which a passage holds a gold span whole."""
    folder = search.settings.data_dir / "evaluation" / evaluated.name
    for name, text in evaluated.documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    cases: list[Case] = []
    tenant = search.settings.model_copy(update={"tenant": f"evaluation-{evaluated.name.replace('_', '-')}"})
    with Index.open(tenant, search.embedder) as index:
        ingest(index, search.embedder, [folder], settings=search.settings.ingest, prune=True)
        retriever = open_retriever(index, search.embedder, search.settings)
        for question in asked:
            finding = retriever.search(question.text, k=search.passages)
            places = [place for place in question.gold if _held(place, finding)]
            spans = tuple(evaluated.documents[place.doc][place.start : place.end] for place in places)
            cases += [Case(question.text, listing("q1", finding), spans)] if spans else []
            advance()
    return cases


def _held(place: Place, finding: Finding) -> bool:
    return any(p.doc == place.doc and p.start <= place.start and place.end <= p.end for p in finding.passages)


def _measured(cases: Sequence[Case], asked: int, advance: Callable[[], None]) -> dict[str, Row]:
    """Compress every case in each way."""
    notes: list[Note] = []
    milliseconds: list[float] = []
    others: dict[str, list[str]] = {HEAD: [], WORDS: []}
    for case in cases:
        began = time.perf_counter()
        notes.append(asyncio.run(compress(case.said, case.question, tokens)))
        milliseconds.append(1_000 * (time.perf_counter() - began))
        room = notes[-1].tokens_after
        others[HEAD].append(decode(encode(case.said)[:room]))
        others[WORDS].append(_by_words(case, room))
        advance()
    costs = {
        "milliseconds": quantiles(milliseconds),
        "methods": dict(Counter(note.method for note in notes)),
        "facts_needed": sum(note.needed for note in notes),
        "facts_put_back": sum(note.put_back for note in notes),
    }
    texts = {OURS: [note.text for note in notes], **others}
    rows = {name: {"questions": asked, **kept(cases, given)} for name, given in texts.items()}
    return {**rows, OURS: {**rows[OURS], **costs}}


def _by_words(case: Case, room: int) -> str:
    """Return the sentences that hold most of the question's words, in at most ``room`` tokens."""
    wanted, chars = set(terms(case.question)), 6 * room
    while len(encode(chosen := extract(case.said, wanted, chars))) > room:
        chars = int(SMALLER * chars)
    return chosen


def kept(cases: Sequence[Case], notes: Sequence[str]) -> Row:
    """Return what ``notes`` keep of ``cases``.

    ``spans_kept`` is the share of the spans that stand whole in the note, ``cases_kept`` of the questions one of whose
    spans does, ``cases_whole`` of those all of whose spans do; ``span_text_kept`` the share of the spans' text, by
    whole sentences.
    """
    before = [len(encode(case.said)) for case in cases]
    after = [len(encode(note)) for note in notes]
    saved = [1 - b / a for a, b in zip(before, after, strict=True)]
    flat = [_flat(note) for note in notes]
    spans = [[_flat(span) in note for span in case.spans] for case, note in zip(cases, flat, strict=True)]
    facts = [held for case, note in zip(cases, notes, strict=True) for held in _facts_kept(case, note)]
    text = [_text_kept(span, note) for case, note in zip(cases, flat, strict=True) for span in case.spans]
    return {
        "cases": len(cases),
        "saved": share(sum(before) - sum(after), sum(before)),
        "saved_least": round(min(saved, default=0.0), 4),
        "tokens_before": quantiles(before),
        "tokens_after": quantiles(after),
        "facts": len(facts),
        "facts_kept": share(sum(facts), len(facts)),
        "spans": sum(map(len, spans)),
        "spans_kept": share(sum(map(sum, spans)), sum(map(len, spans))),
        "cases_kept": share(sum(map(any, spans)), len(cases)),
        "cases_whole": share(sum(map(all, spans)), len(cases)),
        "span_text_kept": round(sum(text) / max(1, len(text)), 4),
    }


def _facts_kept(case: Case, note: str) -> list[bool]:
    """Tell of each fact of the question that stands in the text whether it stands in the note."""
    held, kept = _bare_words(case.said), _bare_words(note)
    return [word in kept for word in _bare_words(case.question) if _FACT.search(word) and word in held]


def _bare_words(text: str) -> set[str]:
    return {word.strip("\"'“”‘’()[]{},;:.!?*`") for word in text.split()}  # noqa: RUF001 - the typographic marks


def _text_kept(span: str, note: str) -> float:
    sentences = [_flat(span[start:end]) for start, end in split_sentences(span)]
    return sum(len(s) for s in sentences if s in note) / max(1, sum(map(len, sentences)))


def _flat(text: str) -> str:
    return " ".join(text.split())


def tables(figures: dict[str, dict[str, Row]], console: Console) -> None:
    """Print a table for each set: a line for each figure, a column for each way to compress."""
    for name, rows in figures.items():
        title = f"{name}: notes of what retrieval found, tokens of the embedded engine; shares of 1"
        table = Table("", *(way.replace("_", " ") for way in rows), "aim", title=title, title_justify="left")
        for figure in rows[OURS]:
            shown = [json.dumps(row[figure]) if figure in row else "" for row in rows.values()]
            table.add_row(figure.replace("_", " "), *shown, str(AIMS.get(figure, "")))
        console.print(table)
