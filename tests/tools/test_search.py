"""Searching a real index with a small embedder of words."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import QuestionError
from infra.settings import load_settings
from infra.store.index import Index
from infra.store.records import Chunk, Document, Entry, Span, digest_of, embedded_text
from infra.store.roots import scope_id
from tests.loopback import Answered, Asked, serving
from tests.tools.words import WordEmbedder
from tools import search
from tools.evidence import Signal
from tools.ranking import HEADING_BONUS
from tools.search import Retriever, open_retriever


def entry(path: str, passages: Sequence[str], header: str, section: str = "") -> Entry:
    text = "\n\n".join(passages)
    document = Document(scope_id(path), path.rsplit("/", 1)[0], path, digest_of(text), len(text), 0, "1", path, text)
    chunks: list[Chunk] = []
    spans: list[Span] = []
    start = 0
    for ordinal, passage in enumerate(passages):
        end = start + len(passage)
        chunk = Chunk(
            digest_of(path, str(ordinal)), document.id, ordinal, start, end, header, digest_of(passage), section
        )
        window = str(uuid.UUID(chunk.id))
        chunks.append(chunk)
        spans.append(Span(window, chunk.id, start, end, digest_of(embedded_text(header, passage))))
        start = end + 2
    return Entry(document, tuple(chunks), tuple(spans))


TOWN = [f"The {thing} of the town stands near the river." for thing in ("mill", "church", "school", "inn", "forge")]
DOCUMENTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "/notes/boiler.txt": (
        "2026-05-06 Ann",
        [
            "The boiler in the cellar leaks. Call the plumber on Monday.",
            "He replaced a valve and left a bill of 90 euro.",
        ],
    ),
    "/notes/town.txt": ("Town", TOWN),
    "/notes/copy.txt": ("Copy", [TOWN[0]]),
    "/other/garden.txt": ("Garden", ["Roses grow in the garden behind the boiler house. They need water."]),
}


@pytest.fixture
def index(data_dir: Path) -> Iterator[Index]:
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as opened:
        opened.library.set_roots(["/notes", "/other"])
        opened.change([entry(path, passages, header) for path, (header, passages) in DOCUMENTS.items()])
        yield opened


@pytest.fixture
def retriever(index: Index) -> Retriever:
    return Retriever(index, WordEmbedder(), load_settings(retrieval={"top_k": 3}).retrieval)


def found(retriever: Retriever, query: str, k: int | None = None) -> list[str]:
    return [passage.text for passage in retriever.search(query, k=k).passages]


def test_the_passage_that_answers_comes_first_with_its_exact_place(retriever: Retriever, index: Index):
    finding = retriever.search("Does the boiler in the cellar leak?")
    best = finding.passages[0]
    assert finding.query == "Does the boiler in the cellar leak?"
    assert (best.doc, best.text, best.header) == (
        "notes/boiler.txt",
        DOCUMENTS["/notes/boiler.txt"][1][0],
        "2026-05-06 Ann",
    )
    assert index.text_of(scope_id("/notes/boiler.txt"))[best.start : best.end] == best.text
    assert [p.score for p in finding.passages] == sorted((p.score for p in finding.passages), reverse=True)


def test_as_many_passages_come_as_the_setting_or_the_caller_wants(retriever: Retriever):
    assert len(found(retriever, "town river")) == 3
    assert len(found(retriever, "town river", k=2)) == 2
    assert len(found(retriever, "town river", k=50)) == 8


def test_passages_that_say_the_same_come_once(retriever: Retriever):
    assert found(retriever, "the mill of the town", k=50).count(TOWN[0]) == 1


def test_a_search_stays_in_its_roots(retriever: Retriever):
    garden = retriever.search("boiler", roots=["/other"]).passages
    notes = retriever.search("boiler and roses", k=50, roots=["/notes/boiler.txt"]).passages
    assert [(p.doc, p.text) for p in garden] == [("garden.txt", DOCUMENTS["/other/garden.txt"][1][0])]
    assert [p.doc for p in notes] == ["boiler.txt", "boiler.txt"]


def test_context_widens_the_search_but_not_the_signal(retriever: Retriever):
    plain = retriever.search("bill of the plumber")
    wide = retriever.search("bill of the plumber", context="Roses grow in the garden")
    assert any("Roses" in p.text for p in wide.passages)
    assert wide.signal.coverage == plain.signal.coverage


def test_a_question_the_documents_answer_is_likely_and_covered(retriever: Retriever):
    signal = retriever.search("Does the boiler in the cellar leak?").signal
    assert signal.likely
    assert signal.coverage == 1.0
    assert signal.probability > 0.8


def test_the_header_counts_for_the_signal(retriever: Retriever):
    assert retriever.search("What did Ann say about the boiler on 6 May 2026?").signal.coverage > 0.5


def test_a_question_about_something_else_is_unlikely(retriever: Retriever):
    signal = retriever.search("Which opera did the astronaut sing beside the mill on Jupiter?").signal
    assert not signal.likely
    assert 0 < signal.coverage < 0.4


def test_a_query_of_stop_words_finds_something_but_covers_nothing(retriever: Retriever):
    finding = retriever.search("what is it about?")
    assert finding.passages
    assert finding.signal == Signal(0.0, likely=False, probability=0.0)


def test_an_empty_query_is_refused(retriever: Retriever):
    with pytest.raises(QuestionError, match=r"^The query is empty: say what to look for\.$"):
        retriever.search(" \n")


def test_nothing_stored_gives_an_empty_finding(data_dir: Path):
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as empty:
        finding = Retriever(empty, WordEmbedder(), load_settings().retrieval).search("boiler")
    assert (finding.passages, finding.signal) == ([], Signal(0.0, likely=False, probability=0.0))


def test_a_heading_that_the_question_names_lifts_its_passage(index: Index, retriever: Retriever):
    def score(section: str) -> float:
        index.change([entry("/notes/pump.txt", ["Press red to begin."], "Pump | First steps", section)])
        passages = retriever.search("What are the first steps of the pump?", k=50).passages
        return next(p.score for p in passages if p.doc == "notes/pump.txt")

    assert score("First steps") == pytest.approx(score("") + HEADING_BONUS)
    assert score("") < score("First steps > Repairs") < score("First steps")


def test_a_very_long_query_is_searched_by_its_first_terms(retriever: Retriever):
    assert found(retriever, "boiler cellar leaks " + " ".join(f"word{n}" for n in range(5_000)))[0].startswith(
        "The boiler"
    )


def test_threads_get_the_same_answers(retriever: Retriever):
    queries = ["boiler in the cellar", "roses", "the forge of the town"] * 10
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(found, [retriever] * len(queries), queries))
    assert answers == [found(retriever, query) for query in queries]


def test_what_asks_for_a_figure_is_not_looked_for_in_the_answer(retriever: Retriever):
    assert (
        retriever.search("How expensive is the valve of the boiler?").signal
        == retriever.search("How is the valve of the boiler?").signal
    )


def test_a_named_file_limits_the_search_and_one_that_is_not_there_does_not(retriever: Retriever):
    assert {p.doc for p in retriever.search("What of the town is in copy.txt?", k=50).passages} == {"notes/copy.txt"}
    assert "notes/town.txt" in {p.doc for p in retriever.search("What of the school is in gone.txt?", k=50).passages}
    assert {p.doc for p in retriever.search("boiler in garden.txt", roots=["/notes"]).passages} <= {
        "boiler.txt",
        "copy.txt",
        "town.txt",
    }


def searcher(index: Index, **settings: object) -> Retriever:
    return Retriever(index, WordEmbedder(), load_settings(retrieval={"top_k": 3, **settings}).retrieval)


def test_each_part_of_a_question_finds_its_own_passage(index: Index):
    question = "Who replaced the valve, and where do roses grow?"
    alone = {p.text: p.score for p in searcher(index, link_graph="off").search(question, k=50).passages}
    parted = {p.text: p.score for p in searcher(index).search(question, k=50).passages}
    garden = DOCUMENTS["/other/garden.txt"][1][0]
    assert parted[garden] > alone[garden]


BAND = {
    "/music/ann.txt": ("Ann", ["The band of Ann plays at Central Perk on Fridays."]),
    "/music/perk.txt": ("Cafe", ["People say that Central Perk closes early."]),
    "/music/bob.txt": ("Bob", ["The band of Bob plays in a dark cellar."]),
}


def test_names_lead_on_from_the_best_passage(index: Index):
    index.library.set_roots(["/music", "/notes", "/other"])
    index.change([entry(path, passages, header) for path, (header, passages) in BAND.items()])
    question = "Where does the band of Ann play?"
    off, on = (searcher(index, link_graph=mode).search(question, k=50).passages for mode in ("off", "on"))
    before, after = ({p.doc: p.score for p in passages} for passages in (off, on))
    assert after["music/perk.txt"] > before["music/perk.txt"]
    assert after["music/bob.txt"] == before["music/bob.txt"]
    assert searcher(index).search(question, k=50).passages == off


def test_late_interaction_reorders_only_the_best_and_the_signal_stays(index: Index, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "LATE_WINDOWS", 2)
    plain = searcher(index).search("the mill of the town", k=50)
    late = searcher(index, late_interaction=True).search("the mill of the town", k=50)
    assert late.signal == plain.signal
    assert {p.text for p in late.passages} == {p.text for p in plain.passages}
    assert [p.text for p in late.passages[2:]] == [p.text for p in plain.passages[2:]]
    assert [p.score for p in late.passages] != [p.score for p in plain.passages]
    assert [p.score for p in late.passages] == sorted((p.score for p in late.passages), reverse=True)


class OnlyVectors:
    """An embedder without token vectors."""

    model_id, dimension = "words/test", WordEmbedder.dimension
    embed = embed_queries = WordEmbedder().embed


def test_without_token_vectors_late_interaction_is_left_out(index: Index):
    settings = load_settings(retrieval={"late_interaction": True}).retrieval
    assert Retriever(index, OnlyVectors(), settings).search("the mill").passages


def test_a_rerank_server_orders_the_best(index: Index):
    def last_first(asked: Asked) -> Answered:
        rows = [{"index": n, "relevance_score": n / 9} for n in range(len(asked.body["documents"]))]
        return Answered({"results": rows})

    settings = load_settings(retrieval={"top_k": 4})
    plain = open_retriever(index, WordEmbedder(), settings).search("the mill of the town").passages
    with serving(last_first) as loopback:
        reranking = load_settings(retrieval={"top_k": 4}, reranker={"base_url": f"{loopback.url}/v1", "top_n": 3})
        found = open_retriever(index, WordEmbedder(), reranking).search("the mill of the town").passages
    assert [p.id for p in found] == [plain[n].id for n in (2, 1, 0, 3)]
    assert loopback.requests[0].body["documents"][0] == f"{plain[0].header}\n{plain[0].text}"
