"""The file of what is kept: bounded in every way, whatever is put in and in whatever order."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from infra.cache.calls_store import MAX_VALUE_BYTES, CallStore, Claim, Entry, Used
from infra.llm.kept import Kept

NOW = 1_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[CallStore]:
    opened = CallStore(path, max_bytes=500_000, max_age_seconds=100, max_entries=10)
    yield opened
    opened.close()


def put(store: CallStore, key: str, now: float = NOW, text: str = "text") -> None:
    store.put(Entry(key, "call", "", Kept({"text": text}, 3, 2, 1.5)), "nobody", now)


def kept(store: CallStore, now: float = NOW) -> list[str]:
    return [key for key in map(str, range(100)) if store.read(key, now)]


def test_a_value_comes_back_whole_until_it_is_too_old(store: CallStore) -> None:
    put(store, "1")
    assert store.read("1", NOW + 99) == Kept({"text": "text"}, 3, 2, 1.5)
    assert store.read("1", NOW + 101) is None
    assert store.read("2", NOW) is None


def test_the_longest_unused_go_when_there_are_too_many(store: CallStore) -> None:
    for number in range(10):
        put(store, str(number), NOW + number)
    store.note(Used({"0": NOW + 50}, {}))
    put(store, "10", NOW + 51)
    assert kept(store, NOW + 52) == ["0", *map(str, range(2, 11))]


def test_the_longest_unused_go_when_they_are_too_large(path: Path) -> None:
    store = CallStore(path, max_bytes=500_000, max_age_seconds=100)
    for number in range(40):
        put(store, str(number), NOW + number, token_hex(30_000))
        assert path.stat().st_size < 1_000_000
    found = kept(store, NOW + 40)
    assert 3 < len(found) < 20
    assert found == [str(number) for number in range(40 - len(found), 40)]
    store.close()


def test_a_value_that_is_too_large_is_not_kept(store: CallStore) -> None:
    put(store, "1", text="x" * MAX_VALUE_BYTES)
    assert store.read("1", NOW) is None


def test_what_is_too_old_goes_when_something_is_put(store: CallStore) -> None:
    put(store, "1")
    put(store, "2", NOW + 200)
    assert store.figures()["call", "entries"] == 1


def test_a_claim_is_one_holders_until_it_lapses_or_is_given_back(store: CallStore) -> None:
    one, two = (Claim("key", name, NOW + 100) for name in ("one", "two"))
    assert store.claim(one, NOW, NOW + 5) == store.claim(one, NOW, NOW + 5) == "ours"
    assert store.claim(two, NOW + 4, NOW + 9) == "others"
    store.renew([one, two], NOW + 10)
    assert store.claim(two, NOW + 9, NOW + 14) == "others"
    assert store.claim(two, NOW + 10, NOW + 15) == "ours"
    store.drop_claim("key", "one")
    assert store.claim(one, NOW + 11, NOW + 16) == "others"
    store.drop_claim("key", "two")
    assert store.claim(one, NOW + 11, NOW + 16) == "ours"


def test_nobody_waits_for_a_claim_whose_deadline_is_over(store: CallStore) -> None:
    store.claim(Claim("key", "one", NOW + 3), NOW, NOW + 100)
    assert store.claim(Claim("key", "two", NOW + 9), NOW + 3, NOW + 100) == "ours"


def test_a_value_that_is_put_ends_the_claim_of_its_maker_only(store: CallStore) -> None:
    store.claim(Claim("1", "one", NOW + 100), NOW, NOW + 50)
    put(store, "1")
    assert store.claim(Claim("1", "two", NOW + 100), NOW, NOW + 50) == "others"
    store.put(Entry("1", "call", "", Kept({})), "one", NOW)
    assert store.claim(Claim("1", "two", NOW + 100), NOW, NOW + 50) == "ours"


def test_figures_add_up(store: CallStore) -> None:
    for _ in range(2):
        store.note(Used({}, {("call", "hits"): 2.0, ("search", "misses"): 1.0}))
    assert store.figures() == {("call", "hits"): 4.0, ("search", "misses"): 2.0}


def test_clearing_leaves_nothing_in_any_file(store: CallStore, path: Path) -> None:
    text = token_hex(200)
    put(store, "1", text=text)
    packed = zlib.compress(json.dumps({"text": text}).encode(), level=1)[:60]

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in path.parent.iterdir())

    assert packed in files()
    assert store.clear() == 1
    assert packed not in files()
