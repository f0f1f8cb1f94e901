"""LlamaIndex's door to a model: its `LLM` over a guarded chat model.

Gives `GuardedLLM`. All eight of LlamaIndex's ways (chat and complete, whole and streamed, blocking and awaiting) become
one call of the chat model they were given, so each is counted, fitted, reserved and entered in the ledger there, and
errors are ours. Messages are text, tool calls and tool results; what else LlamaIndex knows (images, audio, files) is
refused. Options are passed on from a short list: what is not on it could pass the count by. LlamaIndex's own callbacks
are told nothing, because they carry whole prompts; what was used stands in the ledger and in ``additional_kwargs``.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from llama_index.core.base.llms.generic_utils import (
    astream_chat_response_to_completion_response,
    chat_response_to_completion_response,
    stream_chat_response_to_completion_response,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import LLM
from pydantic import PrivateAttr, TypeAdapter

OPTIONS = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop", "response_format", "tools", "tool_choice"})
_ARGUMENTS = TypeAdapter(dict[str, Any])
_REPLY_SHARE = 4  # LlamaIndex packs prompts up to window - reply: a small window is not to be all reply


class GuardedLLM(LLM):
    """LlamaIndex's LLM over a chat model.

    Args:
        chat: the guarded model; its scope says on whose account the calls go.
        model: its name.
        context_window: tokens of prompt and reply together.
        reply_tokens: longest reply; LlamaIndex is told at most a quarter of the window.
    """

    _chat: BaseChatModel = PrivateAttr()
    _metadata: LLMMetadata = PrivateAttr()

    def __init__(self, chat: BaseChatModel, *, model: str, context_window: int, reply_tokens: int) -> None:
        super().__init__()
        self._chat = chat
        self._metadata = LLMMetadata(
            context_window=context_window,
            num_output=min(reply_tokens, context_window // _REPLY_SHARE),
            is_chat_model=True,
            model_name=model,
        )

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex packs its prompts by."""
        return self._metadata

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation. Raises BudgetExceeded and BackendError."""
        return _response(self._chat.invoke(to_langchain(messages), **_options(kwargs)))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Await `chat`."""
        return _response(await self._chat.ainvoke(to_langchain(messages), **_options(kwargs)))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece; each response holds all so far, and what is new."""
        return _growing(self._chat.stream(to_langchain(messages), **_options(kwargs)))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Await `stream_chat`."""
        return _agrowing(self._chat.astream(to_langchain(messages), **_options(kwargs)))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002 - LlamaIndex's signature
        """Answer a text, as one user message."""
        return chat_response_to_completion_response(self.chat(_prompt(prompt), **kwargs))

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        """Await `complete`."""
        return chat_response_to_completion_response(await self.achat(_prompt(prompt), **kwargs))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:  # noqa: ARG002
        """Answer a text piece by piece."""
        return stream_chat_response_to_completion_response(self.stream_chat(_prompt(prompt), **kwargs))

    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Await `stream_complete`."""
        return astream_chat_response_to_completion_response(await self.astream_chat(_prompt(prompt), **kwargs))


def to_langchain(messages: Sequence[ChatMessage]) -> list[BaseMessage]:
    """Return LlamaIndex's messages as LangChain's.

    Raises:
        ValueError: a message holds what is neither text, nor a tool call, nor a tool's result.
    """
    return [_message(message) for message in messages]


def from_langchain(message: AIMessage) -> ChatMessage:
    """Return a reply as LlamaIndex's message: its text, and its tool calls."""
    calls = [
        ToolCallBlock(tool_call_id=call["id"], tool_name=call["name"], tool_kwargs=call["args"])
        for call in message.tool_calls
    ]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=message.text), *calls])


def _message(message: ChatMessage) -> BaseMessage:
    text = _text(message)
    match message.role:
        case MessageRole.SYSTEM | MessageRole.DEVELOPER:
            return SystemMessage(text)
        case MessageRole.USER:
            return HumanMessage(text)
        case MessageRole.TOOL | MessageRole.FUNCTION:
            return ToolMessage(text, tool_call_id=str(message.additional_kwargs.get("tool_call_id") or ""))
        case _:
            return AIMessage(text, tool_calls=[_call(b) for b in message.blocks if isinstance(b, ToolCallBlock)])


def _text(message: ChatMessage) -> str:
    """Return the text of a message; what a model thought before it answered is not sent back."""
    strange = [block for block in message.blocks if not isinstance(block, TextBlock | ToolCallBlock | ThinkingBlock)]
    if strange:
        raise ValueError(f"a {type(strange[0]).__name__} cannot be sent: messages are text and tool calls")
    return message.content or ""


def _call(block: ToolCallBlock) -> ToolCall:
    given = block.tool_kwargs
    arguments = _ARGUMENTS.validate_json(given) if isinstance(given, str) else given
    return ToolCall(name=block.tool_name, args=arguments, id=block.tool_call_id)


def _options(kwargs: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(kwargs) - OPTIONS)
    if unknown:
        raise ValueError(f"unknown option {', '.join(unknown)}; a call takes {', '.join(sorted(OPTIONS))}")
    return kwargs


def _prompt(text: str) -> list[ChatMessage]:
    return [ChatMessage(text)]


def _response(reply: AIMessage, delta: str | None = None) -> ChatResponse:
    used = reply.usage_metadata
    facts: dict[str, Any] = {"dropped": reply.response_metadata.get("dropped", [])}
    if used is not None:
        facts |= {
            "prompt_tokens": used["input_tokens"],
            "completion_tokens": used["output_tokens"],
            "total_tokens": used["total_tokens"],
        }
    return ChatResponse(message=from_langchain(reply), delta=delta, additional_kwargs=facts)


def _growing(chunks: Iterator[AIMessageChunk]) -> ChatResponseGen:
    whole: AIMessageChunk | None = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
        yield _response(whole, chunk.text)


async def _agrowing(chunks: AsyncIterator[AIMessageChunk]) -> ChatResponseAsyncGen:
    whole: AIMessageChunk | None = None
    async for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
        yield _response(whole, chunk.text)
