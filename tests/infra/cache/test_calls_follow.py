"""Replies and findings quote documents: when words of documents go, what is kept of calls goes, and not before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from infra.cache import calls_follow
from infra.cache.calls import CALLS_FILE, CallCache
from infra.cache.calls_follow import follow_documents
from infra.store.index import Index
from tests.infra.cache.calls_world import Words, Work
from tests.infra.cache.house import Tenant, quick

SECRET = "the cats of the palace sleep in the tower"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    follow_documents(tenant.index)
    for name in ("cats.md", "dogs.md"):
        tenant.write(name, f"{SECRET}, says {name}.\n")
    yield tenant
    tenant.close()


@pytest.fixture
def calls(one: Tenant) -> Iterator[CallCache]:
    opened = CallCache(one.index.folder / CALLS_FILE)
    yield opened
    opened.close()


def kept(calls: CallCache, *, key: str = "key") -> bool:
    """Keep a reply and a finding, unless they are kept; say whether they were."""
    work = Work(SECRET)
    for kind, mark in (("call", ""), ("search", "1")):
        calls.once(f"{key} {kind}", work, Words(kind, mark))
    return work.done == 0


def settled(calls: CallCache) -> None:
    """Wait until all that is to be kept is written."""
    calls._file._writer.submit(lambda: None).result(60)


def nothing_left(one: Tenant) -> bool:
    files = [path for path in one.index.folder.iterdir() if path.name.startswith(CALLS_FILE)]
    return not any(b"palace" in path.read_bytes() for path in files)


@pytest.mark.parametrize("change", ["removed", "changed", "moved"])
def test_what_is_kept_goes_in_the_ingestion_in_which_words_go(one: Tenant, calls: CallCache, change: str) -> None:
    assert [kept(calls), kept(calls)] == [False, True]
    settled(calls)
    if change == "removed":
        one.delete("cats.md")
    elif change == "changed":
        one.write("cats.md", "Cats sleep.\n")
    else:
        (one.docs / "cats.md").rename(one.docs / "kittens.md")
        one.ingest()
    assert nothing_left(one)
    assert [kept(calls), kept(calls)] == [False, True]


def test_documents_that_come_or_stay_cost_nothing_of_what_is_kept(one: Tenant, calls: CallCache) -> None:
    kept(calls)
    settled(calls)
    one.ingest()
    one.write("birds.md", "Birds sing.\n")
    one.restart()
    follow_documents(one.index)
    assert kept(calls)


def test_a_kill_between_the_two_files_is_made_up_for(
    one: Tenant, calls: CallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(calls)
    settled(calls)
    with monkeypatch.context() as killed:
        killed.setattr("tools.ingest.forget_gone", lambda _: None)
        one.delete("cats.md")
    assert kept(calls)
    one.restart()
    follow_documents(one.index)
    assert nothing_left(one)
    assert not kept(calls)


def test_what_another_process_took_away_without_the_caches_is_made_up_for(one: Tenant, calls: CallCache) -> None:
    kept(calls)
    settled(calls)
    with Index(one.index.folder, one.embedder) as index:
        (one.docs / "cats.md").unlink()
        one.ingest(index)
    assert kept(calls)
    follow_documents(one.index)
    assert not kept(calls)


def test_a_reply_that_was_on_its_way_is_not_kept(one: Tenant, calls: CallCache) -> None:
    class Slow(Work):
        def __call__(self) -> str:
            one.delete("cats.md")
            return super().__call__()

    kept(calls, key="other")
    settled(calls)
    assert calls.once("key", Slow(SECRET), Words()) == SECRET
    settled(calls)
    work = Work("anew")
    assert calls.once("key", work, Words()) == "anew"


def test_a_file_that_fails_is_said_and_stops_no_ingestion(one: Tenant) -> None:
    said: list[str] = []
    number = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")
    path = one.index.folder / CALLS_FILE
    path.write_bytes(b"no database" * 1_000)
    one.delete("cats.md")
    logger.remove(number)
    assert [line.partition(": the database")[0] for line in said] == [
        "replies that quote documents which are gone are still kept"
    ]
    assert said[0].endswith(f"; remove {path}")


def test_no_file_is_made_for_it(one: Tenant) -> None:
    one.delete("cats.md")
    assert not (one.index.folder / CALLS_FILE).exists()
    assert calls_follow.NAME == "calls"
