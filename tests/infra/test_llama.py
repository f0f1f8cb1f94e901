"""LlamaIndex works through our models only, with the network closed: arun, aretrieve, achat."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import llama_index.core
import pytest
import pytest_socket
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core import Document, VectorStoreIndex
from llama_index.core import Settings as Llama
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.memory import ChatMemoryBuffer

from infra.llama import sentences_of, use_for_llama_index
from infra.llm.llama import GuardedLLM
from infra.settings import load_settings
from infra.store.embeddings import MAX_TOKENS, word_pieces
from infra.store.llama_embedding import EmbedderEmbedding
from tests.infra.llm.bench import BACKEND, Bench, bench
from tests.tools.words import WordEmbedder

DOCUMENTS = [
    Document(text="Paris is the capital of France. It lies on the Seine.", metadata={"path": "france.md"}),
    Document(text="Oslo is the capital of Norway. It lies on a fjord.", metadata={"path": "norway.md"}),
]
FETCHERS = ["tiktoken", "nltk", "nltk.data", "llama_index.llms.openai", "llama_index.embeddings.openai"]


def words(text: str) -> list[int]:
    return [len(word) for word in text.split()]


@pytest.fixture(autouse=True)
def _no_way_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every socket, forbid what fetches, offer what LlamaIndex would use by default; put its settings back."""
    before, tokenizer = dict(vars(Llama)), llama_index.core.global_tokenizer
    monkeypatch.setenv("OPENAI_API_KEY", "sk-someone")
    for name in FETCHERS:
        monkeypatch.setitem(sys.modules, name, None)
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    vars(Llama).update(before)
    llama_index.core.global_tokenizer = tokenizer


def buffer() -> ChatMemoryBuffer:
    """A memory without the SQLite file that LlamaIndex's default one leaves open; it counts by Settings' tokenizer."""
    return ChatMemoryBuffer.from_defaults(llm=Llama.llm)


def set_up(*script: str, window: int = BACKEND.context_window) -> Bench:
    """Set LlamaIndex to a guarded model over a scripted server."""
    a_bench = bench(script)
    backend = replace(BACKEND, context_window=window)
    use_for_llama_index(a_bench.chat, backend, load_settings(), WordEmbedder(), words)
    return a_bench


def test_nothing_of_llama_index_is_left_to_its_defaults():
    set_up()
    assert isinstance(Llama.llm, GuardedLLM)
    assert isinstance(Llama.embed_model, EmbedderEmbedding)
    assert Llama.tokenizer is words
    assert Llama.text_splitter.split_text("One. Two.") == ["One. Two."]  # pyright: ignore[reportAttributeAccessIssue]
    assert Llama.transformations == [Llama.node_parser]
    assert Llama.context_window == Llama.chat_context_window == BACKEND.context_window
    assert Llama.num_output == Llama.chat_num_output == 3_000
    assert [name for name in FETCHERS if sys.modules[name]] == []


def test_who_does_not_need_llama_index_does_not_wait_for_it():
    code = "import sys, infra.resources, infra.telemetry, tools.retrieve; sys.exit('llama_index.core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_second_set_up_leaves_nothing_of_the_first():
    set_up("from the first")
    assert (Llama.context_window, Llama.chat_context_window) == (BACKEND.context_window,) * 2
    assert Llama.transformations == [Llama.node_parser]
    first = Llama.node_parser
    a_bench = set_up("from the second", window=4_096)
    assert Llama.llm.complete("Who?").text.strip() == "from the second"
    assert len(a_bench.server.chats) == 1
    assert (Llama.context_window, Llama.chat_context_window, Llama.num_output) == (4_096, 4_096, 1_024)
    assert [one is first for one in Llama.transformations] == [False]


async def test_arun_splits_and_embeds_documents_with_our_embedder():
    a_bench = set_up()
    nodes = await IngestionPipeline(transformations=[Llama.node_parser, Llama.embed_model]).arun(documents=DOCUMENTS)
    contents = [node.get_content(metadata_mode="embed") for node in nodes]  # pyright: ignore[reportArgumentType]
    assert [node.metadata["path"] for node in nodes] == ["france.md", "norway.md"]
    assert [node.embedding for node in nodes] == WordEmbedder().embed(contents).tolist()
    assert (a_bench.calls, a_bench.server.paths) == ([], [])


async def test_arun_cuts_long_documents_into_pieces_that_the_embedder_reads_whole():
    set_up()
    text = " ".join(f"Sentence number {n} says what the others do not say." for n in range(200))
    nodes = await IngestionPipeline(transformations=[Llama.node_parser]).arun(documents=[Document(text=text)])
    assert len(nodes) > 1
    assert all(len(words(node.get_content())) <= MAX_TOKENS - 2 for node in nodes)
    assert all(node.get_content().startswith("Sentence") and node.get_content().endswith(".") for node in nodes)


async def test_aretrieve_finds_by_our_embedder():
    a_bench = set_up()
    index = VectorStoreIndex.from_documents(DOCUMENTS)
    found = await index.as_retriever(similarity_top_k=1).aretrieve("the capital of Norway")
    assert [node.metadata["path"] for node in found] == ["norway.md"]
    assert (a_bench.calls, a_bench.server.paths) == ([], [])


async def test_achat_over_an_index_is_counted_budgeted_and_in_the_ledger():
    a_bench = set_up("Oslo.", "On a fjord.")
    engine = VectorStoreIndex.from_documents(DOCUMENTS).as_chat_engine(
        chat_mode=ChatMode.CONTEXT, similarity_top_k=1, memory=buffer()
    )
    first = await engine.achat("What is the capital of Norway?")
    second = await engine.achat("Where does it lie?")
    assert [str(first).strip(), str(second).strip()] == ["Oslo.", "On a fjord."]
    assert [call.outcome for call in a_bench.calls] == ["ok", "ok"]
    assert all(call.exact and call.counted_tokens == call.prompt_tokens > 0 for call in a_bench.calls)
    asked: list[dict[str, Any]] = a_bench.server.chats[1]["messages"]
    assert "Oslo is the capital of Norway." in str(a_bench.server.chats[0]["messages"])
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]


async def test_achat_of_a_simple_engine_keeps_the_conversation():
    a_bench = set_up("Hello.", "You said hello.")
    engine = SimpleChatEngine.from_defaults(memory=buffer())
    await engine.achat("Hello!")
    reply = await engine.achat("What did I say?")
    assert str(reply).strip() == "You said hello."
    assert [len(body["messages"]) for body in a_bench.server.chats] == [1, 3]
    assert len(a_bench.calls) == 2


def test_word_pieces_are_counted_without_a_limit():
    pieces = word_pieces(load_settings().data_dir)
    assert len(pieces("word " * 1_000)) == 1_000
    assert pieces("") == []


@given(st.text(alphabet=st.sampled_from("aZ .!?\n\t1é中。")))
def test_sentences_together_are_the_whole_text(text: str):
    sentences = sentences_of(text)
    assert "".join(sentences) == text
    assert all(sentences)
