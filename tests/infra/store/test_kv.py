"""LlamaIndex's key-value store over SQLite: its contract, its bound, and its ingestion cache on top."""

from pathlib import Path
from random import Random

import pytest
from llama_index.core.ingestion import IngestionCache
from llama_index.core.schema import TextNode

from infra.errors import StoreError
from infra.store.kv import SqliteKeyValues


def test_values_are_kept_replaced_listed_and_forgotten(tmp_path: Path) -> None:
    store = SqliteKeyValues(tmp_path / "kv.sqlite3")
    store.put("a", {"n": 1})
    store.put("a", {"n": 2, "text": "é🤖"})
    store.put("a", {"n": 3}, collection="other")
    store.put("b", {"n": 4})
    assert store.get("a") == {"n": 2, "text": "é🤖"}
    assert store.get("nowhere") is None
    assert store.get_all() == {"a": {"n": 2, "text": "é🤖"}, "b": {"n": 4}}
    assert (store.delete("a"), store.delete("a")) == (True, False)
    assert store.get("a", collection="other") == {"n": 3}
    store.close()
    again = SqliteKeyValues(tmp_path / "kv.sqlite3")
    assert again.get_all() == {"b": {"n": 4}}
    again.close()


async def test_the_asynchronous_forms_do_the_same(tmp_path: Path) -> None:
    store = SqliteKeyValues(tmp_path / "kv.sqlite3")
    await store.aput("a", {"n": 1})
    assert await store.aget("a") == {"n": 1}
    assert await store.aget_all() == {"a": {"n": 1}}
    assert await store.adelete("a")
    assert await store.aget("a") is None
    store.close()


def test_beyond_the_bound_what_was_put_first_is_dropped(tmp_path: Path) -> None:
    store = SqliteKeyValues(tmp_path / "kv.sqlite3", max_entries=3)
    for number in range(5):
        store.put(str(number), {"n": number})
    store.put("3", {"n": 33})
    assert store.get_all() == {"4": {"n": 4}, "3": {"n": 33}}
    store.close()


def test_beyond_the_bytes_allowed_the_older_half_is_dropped_again_and_again(tmp_path: Path) -> None:
    store = SqliteKeyValues(tmp_path / "kv.sqlite3", max_bytes=200_000)
    chance = Random(1)
    for number in range(300):
        store.put(str(number), {"text": chance.randbytes(2_000).hex()})
    kept = [int(key) for key in store.get_all()]
    assert 20 < len(kept) < 100
    assert kept == list(range(kept[0], 300))
    store.put("large", {"text": chance.randbytes(300_000).hex()})
    store.put("small", {"n": 1})
    assert store.get("small") == {"n": 1}
    assert (tmp_path / "kv.sqlite3").stat().st_size < 1_000_000
    store.close()


def test_the_ingestion_cache_works_on_it(tmp_path: Path) -> None:
    store = SqliteKeyValues(tmp_path / "kv.sqlite3")
    cache = IngestionCache(cache=store, collection="c")
    node = TextNode(id_="n1", text="words", metadata={"start": 3})
    cache.put("key", [node])
    assert cache.get("key") == [node]
    cache.clear()
    assert cache.get("key") is None
    store.close()


def test_what_is_damaged_is_as_good_as_forgotten(tmp_path: Path) -> None:
    values = SqliteKeyValues(tmp_path / "kv.sqlite3")
    values.put("a", {"n": 1})
    values.put("b", {"n": 2})
    with values._database.transaction() as change:
        change.execute("UPDATE entries SET value = x'00' WHERE key = 'a'")
    assert values.get("a") is None
    assert values.get_all() == {"b": {"n": 2}}
    values.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the database .*nowhere/kv.sqlite3 failed: unable to open"):
        SqliteKeyValues(tmp_path / "nowhere" / "kv.sqlite3")
