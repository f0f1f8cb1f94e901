"""LlamaIndex set to our own model, embedding model, tokenizer and sentences, and to nothing else.

Gives `use_for_llama_index`, called once by the switchboard. LlamaIndex keeps one `Settings` for the process, and makes
up on first use what is not set: a model of OpenAI's, tiktoken's tables, NLTK's data, each fetched from outside. So all
of it is set. Documents are cut into pieces that the embedding model reads whole.
"""

from collections.abc import Callable
from itertools import pairwise

from langchain_core.language_models import BaseChatModel
from llama_index.core import PromptHelper
from llama_index.core import Settings as Llama
from llama_index.core.indices.prompt_helper import ChatPromptHelper
from llama_index.core.node_parser import SentenceSplitter

from infra.llm.endpoint import Backend
from infra.llm.llama import GuardedLLM
from infra.settings import Settings
from infra.store.embeddings import MAX_TOKENS, Embedder
from infra.store.llama_embedding import EmbedderEmbedding
from infra.text.sentences import split_sentences

Tokenizer = Callable[[str], list[int]]

CHUNK_TOKENS = MAX_TOKENS - 2  # the model's two special tokens
OVERLAP_TOKENS = 32


def use_for_llama_index(
    chat: BaseChatModel, backend: Backend, settings: Settings, embedder: Embedder, tokenizer: Tokenizer
) -> None:
    """Have all of LlamaIndex in this process work through our own models.

    Args:
        chat: the guarded model. One without a scope: each call then goes on its run's question, or one of its own.
        backend: what answers it.
        settings: the longest reply.
        embedder: the embedding model.
        tokenizer: the embedding model's word pieces. It only packs prompts and cuts documents: the guard counts what
            is sent as the server does.
    """
    llm = GuardedLLM(
        chat,
        model=backend.model,
        context_window=backend.context_window,
        reply_tokens=settings.budget.reserve_tokens,
    )
    window, reply = llm.metadata.context_window, llm.metadata.num_output
    Llama.tokenizer = tokenizer
    Llama.llm = llm
    Llama.embed_model = EmbedderEmbedding(embedder)
    Llama.node_parser = SentenceSplitter(
        chunk_size=CHUNK_TOKENS,
        chunk_overlap=OVERLAP_TOKENS,
        tokenizer=tokenizer,
        chunking_tokenizer_fn=sentences_of,
    )
    Llama.transformations = [Llama.node_parser]
    Llama.prompt_helper = PromptHelper(window, reply, tokenizer=tokenizer)
    Llama.chat_prompt_helper = ChatPromptHelper(window, reply, tokenizer=tokenizer)


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, each with the white space up to the next: together they are the whole text."""
    starts = [0, *(start for start, _ in split_sentences(text)[1:]), len(text)]
    return [text[start:end] for start, end in pairwise(starts) if end > start]
