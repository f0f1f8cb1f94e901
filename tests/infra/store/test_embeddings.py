"""MiniLM on ONNX Runtime: the vectors of an independent forward pass, whatever else is in the batch."""

import json
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from infra.errors import ConfigurationError, StoreError
from infra.store import embeddings_convert
from infra.store.embeddings import MAX_TOKENS, MiniLM, TokenEmbedder, open_minilm
from infra.store.embeddings_convert import MODEL_FOLDER, PACKAGE, prepare_minilm, read_safetensors
from tests.infra.store.reference import Reference

TEXTS = [
    "The cat sits on the mat.",
    "A cat is sitting on a rug.",
    "Interest rates rose by half a percent in March 2024, the central bank said on Thursday.",
    "日本語 and émigré — 🤖!",
    "",
]


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("model")
    prepare_minilm(home)
    return home


@pytest.fixture(scope="session")
def minilm(model_home: Path) -> TokenEmbedder:
    return open_minilm(model_home, threads=1)


@pytest.fixture(scope="session")
def reference() -> Reference:
    weights = metadata.distribution(PACKAGE).locate_file(f"{MODEL_FOLDER}/model.safetensors")
    return Reference(read_safetensors(Path(str(weights)).read_bytes()))


@pytest.fixture(scope="session")
def ids(model_home: Path) -> dict[str, list[int]]:
    tokenizer = Tokenizer.from_file(str(model_home / "models" / "all-MiniLM-L6-v2-fp32" / "tokenizer.json"))
    tokenizer.no_padding()
    return {text: tokenizer.encode(text).ids for text in TEXTS}


def test_vectors_are_those_of_an_independent_forward_pass(
    minilm: TokenEmbedder, reference: Reference, ids: dict[str, list[int]]
) -> None:
    expected = np.array([reference.pooled(ids[text]) for text in TEXTS])
    assert np.abs(minilm.embed(TEXTS) - expected).max() < 1e-5


def test_token_vectors_are_those_of_an_independent_forward_pass_without_special_tokens(
    minilm: TokenEmbedder, reference: Reference, ids: dict[str, list[int]]
) -> None:
    for text, found in zip(TEXTS, minilm.embed_tokens(TEXTS), strict=True):
        rows = reference.tokens(ids[text])[1:-1]
        expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max(initial=0) < 1e-5


def test_a_text_has_one_vector_whatever_stands_beside_it(minilm: TokenEmbedder) -> None:
    many = [*TEXTS, "word " * 300, *(f"{text} {text}" for text in TEXTS), *["padding"] * 40]
    together = minilm.embed(many)
    alone = np.array([minilm.embed([text])[0] for text in many[:12]])
    assert np.abs(together[:12] - alone).max() < 1e-5
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-5


def test_likeness_of_meaning_shows(minilm: TokenEmbedder) -> None:
    cat, rug, rates, *_ = minilm.embed(TEXTS)
    assert cat @ rug > 0.7
    assert cat @ rates < 0.2


def test_long_texts_are_cut_at_the_length_the_model_was_tuned_for(minilm: TokenEmbedder) -> None:
    tokens = minilm.embed_tokens(["word " * 300])[0]
    assert tokens.shape == (MAX_TOKENS - 2, minilm.dimension)


def test_questions_are_embedded_as_texts_are(minilm: TokenEmbedder) -> None:
    assert isinstance(minilm, TokenEmbedder)
    assert np.array_equal(minilm.embed_queries(TEXTS[:2]), minilm.embed(TEXTS[:2]))


def test_no_texts_give_no_rows(minilm: TokenEmbedder) -> None:
    assert minilm.embed([]).shape == (0, 384)
    assert minilm.embed_tokens([]) == []
    assert (minilm.model_id, minilm.dimension) == ("all-MiniLM-L6-v2/fp32", 384)


def test_threads_get_the_same_vectors(minilm: TokenEmbedder) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(minilm.embed, [TEXTS] * 8))
    assert max(np.abs(one - found[0]).max() for one in found) < 1e-6


def test_many_texts_get_the_vectors_they_get_alone_on_any_number_of_cores(
    model_home: Path, minilm: TokenEmbedder
) -> None:
    texts = [f"{word} number {n} " + "and so on " * (n % 40) for n in range(0, 60, 3) for word in ("cat", "rate")]
    alone = np.array([minilm.embed_queries([text])[0] for text in texts])
    for threads in (1, 3):
        many = open_minilm(model_home, threads=threads)
        assert np.abs(many.embed(texts) - alone).max() < 1e-5
        assert [len(rows) for rows in many.embed_tokens(texts)] == [len(rows) for rows in minilm.embed_tokens(texts)]


def test_texts_and_questions_load_the_model_once_each_when_they_come(model_home: Path) -> None:
    found = MiniLM(prepare_minilm(model_home), threads=2)
    assert list(found._sessions) == []
    found.embed_queries(TEXTS)
    assert list(found._sessions) == [2]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(found.embed, [TEXTS] * 4))
    assert list(found._sessions) == [2, 1]


def test_the_model_is_made_once_and_made_again_when_damaged(model_home: Path) -> None:
    folder = prepare_minilm(model_home)
    model = folder / "model.onnx"
    first, made = model.read_bytes(), model.stat().st_mtime_ns
    prepare_minilm(model_home)
    assert model.stat().st_mtime_ns == made
    model.write_bytes(first[:1000])
    prepare_minilm(model_home)
    assert model.read_bytes() == first
    assert json.loads((folder / "made.json").read_text())["converter"] == embeddings_convert.CONVERTER_VERSION
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "made.json", "model.onnx", "tokenizer.json"]


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings_convert, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ConfigurationError, match=r"model.safetensors is another one: sha256 53aa.*requirements.lock"):
        prepare_minilm(tmp_path)
    assert not (tmp_path / "models" / "all-MiniLM-L6-v2-fp32" / "model.onnx").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings_convert, "PACKAGE", "no-such-package")
    with pytest.raises(ConfigurationError, match=r"no-such-package's model.safetensors cannot be read"):
        prepare_minilm(tmp_path)


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*: Not a directory; set DOCMIND_DATA_DIR"):
        prepare_minilm(tmp_path / "file")
