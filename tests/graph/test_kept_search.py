"""A search that was made is given again for one state of the documents, and only when it can have missed nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from graph.desk import KeptSearch
from infra.cache.calls import CALLS_FILE, CallCache
from infra.settings import IngestSettings, RetrievalSettings
from tests.infra.cache.house import Tenant, quick
from tests.tools.words import WordEmbedder
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import Retriever

QUERY = "Where do cats sleep?"


class Counted(Retriever):
    """Counts searches; ``meanwhile`` is done in the middle of each."""

    made = 0

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        self.made += 1
        finding = super().search(query, k=k, roots=roots, context=context)
        self.meanwhile()
        return finding

    def meanwhile(self) -> None:
        """Nothing happens."""


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    tenant.write("cats.md", "Cats sleep all day.\n")
    yield tenant
    tenant.close()


@pytest.fixture
def search(one: Tenant) -> Counted:
    return Counted(one.index, WordEmbedder(), RetrievalSettings())


@pytest.fixture
def kept(one: Tenant, search: Counted) -> Iterator[KeptSearch]:
    calls = CallCache(one.index.folder / CALLS_FILE)
    yield KeptSearch(search, one.index, calls, "how")
    calls.close()


def names(finding: Finding) -> list[str]:
    return [passage.doc for passage in finding.passages]


def test_equal_searches_are_made_once(kept: KeptSearch, search: Counted) -> None:
    findings = [kept.search(QUERY, k=3), kept.search(QUERY, k=3), kept.search(QUERY, k=3, context="day")]
    assert findings[0] == findings[1]
    assert search.made == 2


def test_nothing_is_kept_while_vectors_are_behind_the_documents(
    one: Tenant, kept: KeptSearch, search: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: the library knows a passage that no search finds yet, under a generation that stays."""
    with monkeypatch.context() as lagging:
        lagging.setattr(one.index._vectors, "follow", lambda: None)
        lagging.setattr(one.index._vectors, "settle", lambda: None)
        one.write("more.md", "Cats sleep in the garden.\n")
        assert [names(kept.search(QUERY)) for _ in range(2)] == [["cats.md"]] * 2
        assert search.made == 2
    one.index.follow()
    one.index.settle()
    assert sorted(names(kept.search(QUERY))) == ["cats.md", "more.md"]


def test_nothing_is_kept_of_a_search_during_which_documents_changed(
    one: Tenant, kept: KeptSearch, search: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changing:
        changing.setattr(search, "meanwhile", lambda: one.write("more.md", f"Cats sleep {search.made} hours.\n"))
        kept.search(QUERY)
    assert sorted(names(kept.search(QUERY))) == ["cats.md", "more.md"]
    assert search.made == 2


def test_documents_are_named_for_the_roots_there_are(one: Tenant, kept: KeptSearch) -> None:
    """Another root without documents changes no document, and yet what they are called."""
    assert names(kept.search(QUERY)) == ["cats.md"]
    empty = one.home / "empty"
    empty.mkdir()
    ingest(one.index, one.embedder, [one.docs, empty], settings=IngestSettings())
    assert names(kept.search(QUERY)) == ["one/cats.md"]


async def test_equal_searches_at_once_are_made_once(kept: KeptSearch, search: Counted) -> None:
    findings = await asyncio.gather(*[asyncio.to_thread(kept.search, QUERY) for _ in range(16)])
    assert len({names(finding)[0] for finding in findings}) == search.made == 1
