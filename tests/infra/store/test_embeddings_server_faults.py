"""A server's embeddings go wrong: what passes is tried again, the rest is one line that names the setting."""

import json
import logging
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import BackendError, BackendUnavailable
from infra.store import asking
from infra.store.database import Database
from infra.store.library import SCHEMA, Library
from infra.store.memory import PIECE_TEXTS, EmbeddingMemory
from tests.infra.store.embedding_servers import Vllm, expected, opened, settings
from tests.loopback import Answered, Asked, Broken
from tests.tools.words import DIMENSION

KEY = "sk-embedding-secret"
TEXTS = ["Paris is in France.", "Oslo", "Dogs chase cats through the garden.", "日本語 text"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONGEST_PAUSE_SECONDS", 0.0)


def test_a_wrong_key_names_its_setting_and_no_key_is_shown(
    data_dir: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    server = Vllm(key=KEY)
    refused = pytest.raises(BackendError, match=r"answered 401 .*; set DOCMIND_EMBEDDING__API_KEY$")
    with refused as caught, opened(server, data_dir, api_key="wrong-" + KEY):
        pass
    with opened(server, data_dir, api_key=KEY) as (embedder, loopback):
        server.otherwise = lambda asked, reply: Answered({"error": asked.headers["authorization"]}, 400)
        with pytest.raises(BackendError) as repeated:
            embedder.embed(["Oslo"])
        told = [str(caught.value), str(repeated.value), caplog.text, *capsys.readouterr(), repr(settings(loopback))]
    assert not any(KEY in text for text in told)


def first_row(**changes: Any) -> Any:
    return lambda reply: reply | {"data": [reply["data"][0] | changes, *reply["data"][1:]]}


UNUSABLE = {
    "too few": (lambda reply: reply | {"data": reply["data"][:1]}, "1 vectors for 2 texts"),
    "one twice": (first_row(index=1), "1 vectors for 2 texts"),
    "an index beyond": (first_row(index=7), "2 vectors for 2 texts"),
    "shorter": (first_row(embedding=[1.0]), rf"vectors of \[1, {DIMENSION}\] numbers in place of {DIMENSION}"),
    "empty": (first_row(embedding=[]), "vectors of"),
    "nan": (first_row(embedding=[float("nan")] * DIMENSION), "holds what is not a number"),
    "endless": (first_row(embedding=[float("inf")] * DIMENSION), "holds what is not a number"),
    "zero": (first_row(embedding=[0.0] * DIMENSION), "all zeros"),
    "null": (first_row(embedding=None), "cannot be read"),
    "words": (first_row(embedding="AACAPw=="), "cannot be read"),
    "an error": (lambda reply: {"error": "out of memory"}, "cannot be read"),
    "a list": (lambda reply: [reply], "cannot be read"),
}


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_answer_that_cannot_be_used_is_refused_in_one_line(data_dir: Path, spoil: Any, said: str):
    server = Vllm()
    with opened(server, data_dir) as (embedder, _):
        server.otherwise = lambda asked, reply: Answered(spoil(reply))
        with pytest.raises(BackendError, match=said) as caught:
            embedder.embed(["Oslo", "Paris"])
    assert "\n" not in str(caught.value)
    assert "DOCMIND_EMBEDDING__" in str(caught.value)


def test_vectors_that_come_in_another_order_are_put_in_ours(data_dir: Path):
    server = Vllm()
    server.otherwise = lambda asked, reply: Answered(reply | {"data": reply["data"][::-1]})
    with opened(server, data_dir) as (embedder, _):
        assert embedder.embed(TEXTS) == expected(TEXTS)


@pytest.mark.parametrize("content", [b"", b"<html>no</html>", b"[" * 100_000, b"\xff\xfe", b'{"data": [', b"null"])
def test_what_is_not_json_is_refused_in_one_line(data_dir: Path, content: bytes):
    server = Vllm()
    with opened(server, data_dir) as (embedder, _):
        server.otherwise = lambda asked, reply: Answered(content)
        with pytest.raises(BackendError, match=r"cannot be read .*check DOCMIND_EMBEDDING__BASE_URL$"):
            embedder.embed(["Oslo"])


def test_an_answer_without_end_is_given_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    server = Vllm()
    with opened(server, data_dir) as (embedder, _):
        monkeypatch.setattr(asking, "MAX_BYTES", 10_000)
        server.otherwise = lambda asked, reply: Answered(b" " * 50_000)
        with pytest.raises(BackendError, match="answered more than 10,000 bytes"):
            embedder.embed(["Oslo"])


def test_an_answer_that_trickles_is_given_up_when_its_time_is_over(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    server, now = Vllm(), [0.0]
    with opened(server, data_dir, timeout_seconds=5) as (embedder, _):

        def later() -> float:
            now[0] += 3
            return now[0]

        monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=later))
        server.otherwise = lambda asked, reply: Answered(json.dumps(reply).encode() + b" " * 500_000)
        with pytest.raises(BackendUnavailable, match=r"not done after 5 s.*DOCMIND_EMBEDDING__TIMEOUT_SECONDS"):
            embedder.embed(["Oslo"])


@pytest.mark.parametrize("fault", ["broken", 429, 503])
def test_what_passes_is_tried_again(data_dir: Path, fault: str | int):
    server, times = Vllm(), [0]

    def at_first(asked: Asked, reply: dict[str, Any]) -> Answered | None:
        times[0] += 1
        if times[0] > 2:
            return None
        if fault == "broken":
            raise Broken
        return Answered({"error": "busy"}, int(fault), {"retry-after": "1"})

    with opened(server, data_dir) as (embedder, _):
        server.otherwise = at_first
        assert embedder.embed(["Oslo"]) == expected(["Oslo"])
    assert times[0] == 3


def test_a_server_that_stays_broken_is_given_up_after_four_tries(data_dir: Path):
    server = Vllm()
    with opened(server, data_dir) as (embedder, loopback):
        server.otherwise = lambda asked, reply: Answered({"error": "CUDA out of memory"}, 500)
        with pytest.raises(BackendError, match=r"answered 500 \(.*CUDA out of memory.*\); check DOCMIND_EMBEDDING__"):
            embedder.embed(["Oslo"])
    assert len(loopback.bodies("/v1/embeddings")) == 1 + 4


def test_a_lasting_refusal_ends_soon_however_many_texts_there_are(data_dir: Path):
    server = Vllm()
    with opened(server, data_dir, in_flight=1) as (embedder, loopback):
        server.otherwise = lambda asked, reply: Answered({"error": "no"}, 400)
        with pytest.raises(BackendError, match="answered 400"):
            embedder.embed(["some words that are not long"] * 500)
    assert len(loopback.bodies("/v1/embeddings")) < 30


def test_one_fault_of_many_batches_is_the_callers_and_the_rest_is_not_begun(data_dir: Path):
    server = Vllm()
    with opened(server, data_dir, batch_texts=1, in_flight=1) as (embedder, loopback):
        server.otherwise = lambda asked, reply: Answered({"error": "gone"}, 410)
        with pytest.raises(BackendError, match="answered 410"):
            embedder.embed([f"text {n}" for n in range(50)])
        embedder.close()
    assert len(loopback.bodies("/v1/embeddings")) < 10


def test_a_redirect_is_not_followed_and_no_proxy_is_used(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Vllm()
    with opened(server, data_dir) as (embedder, loopback):
        assert not any("authorization" in asked.headers for asked in loopback.requests)
        server.otherwise = lambda asked, reply: Answered(status=307, headers={"location": "http://192.0.2.1/v1"})
        with pytest.raises(BackendError, match="answered 307"):
            embedder.embed(["Oslo"])


def test_what_was_embedded_before_a_fault_is_not_asked_for_again(data_dir: Path, tmp_path: Path):
    server = Vllm(window=10**6)
    texts = {f"key{n}": f"text number {n}" for n in range(PIECE_TEXTS + 100)}
    database = Database(tmp_path / "library.sqlite3", SCHEMA)
    with closing(database), opened(server, data_dir) as (embedder, loopback):
        memory = EmbeddingMemory(Library(database), embedder)
        server.otherwise = lambda asked, reply: (
            Answered({"error": "gone"}, 410) if len(loopback.bodies("/v1/embeddings")) > 6 else None
        )
        with pytest.raises(BackendError, match="answered 410"):
            memory.remember(texts)
        server.otherwise = lambda asked, reply: None
        loopback.requests.clear()
        assert memory.remember(texts) == len(texts) // 2  # it takes two pieces
        asked_for = {text for body in loopback.bodies("/v1/embeddings") for text in body["input"]}
        assert len(asked_for) == len(texts) // 2  # a set: a request of the failed piece may have come in after that
        assert memory.remember(texts) == 0
