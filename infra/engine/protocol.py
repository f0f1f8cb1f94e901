"""The requests the engine takes: vLLM 0.32's dialect of the OpenAI protocol.

Gives the request types and ``parse``, which turns a request's body into one of them or refuses it as vLLM does. Unknown
fields are accepted and ignored. Whether a prompt fits, and which model is asked for, is the core's to judge.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from infra.engine.refusal import RefusedError, RoutingError, refused_body, refused_shape, refused_value

MODEL_ID: Final = "docmind-embedded-engine"
ENGINE_VERSION: Final = "1.0"
FINGERPRINT: Final = f"{MODEL_ID}-{ENGINE_VERSION}"

MEDIA_PARTS = frozenset({"image_url", "input_audio", "audio_url", "video_url"})

_Request = TypeVar("_Request", bound=BaseModel)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TextPart(_Wire):
    """One part of a message's content; only text is understood."""

    type: str = "text"
    text: str | None = None

    @model_validator(mode="after")
    def _carries_text(self) -> Self:
        if self.type in MEDIA_PARTS:
            raise RefusedError(f"{MODEL_ID} is not a multimodal model")
        if self.text is None:
            raise ValueError(f"a part of type {self.type!r} must carry text")
        return self


class CalledFunction(_Wire):
    """The function of a tool call in the history; ``arguments`` is JSON text or an object."""

    name: str
    arguments: str | dict[str, Any] | None = None


class CalledTool(_Wire):
    """A tool call in the history."""

    function: CalledFunction


class Message(_Wire):
    """One message; any role is accepted, and only an assistant's content may be null."""

    role: str
    content: str | list[TextPart] | None = None
    tool_calls: list[CalledTool] | None = None

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.content is None and "content" in self.model_fields_set and self.role != "assistant":
            raise ValueError(f"the content of a {self.role!r} message must be text, got null")
        return self

    @property
    def text(self) -> str:
        """The content as one text; parts are joined by newlines, as vLLM does."""
        if isinstance(self.content, list):
            return "\n".join(part.text or "" for part in self.content)
        return self.content or ""


class Function(_Wire):
    """A function that a tool offers; ``parameters`` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Wire):
    """A tool the caller offers."""

    type: Literal["function"] = "function"
    function: Function


class _FunctionName(_Wire):
    name: str


class NamedTool(_Wire):
    """A ``tool_choice`` that names one function."""

    type: Literal["function"] = "function"
    function: _FunctionName


class JsonSchema(_Wire):
    """The schema of a ``response_format``; its field is called ``schema`` on the wire."""

    name: str
    body: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(_Wire):
    """What the reply's text must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StructuredOutputs(_Wire):
    """vLLM's own constraints; the field of the JSON schema is called ``json`` on the wire."""

    body: dict[str, Any] | None = Field(None, alias="json")
    choice: list[str] | None = None
    regex: str | None = None
    grammar: str | None = None


class StreamOptions(_Wire):
    """What a stream carries beside the reply."""

    include_usage: bool | None = False


def _as_list(value: Any) -> Any:  # noqa: ANN401 - what JSON held
    return [value] if isinstance(value, str) else value


class ChatRequest(_Wire):
    """``POST /v1/chat/completions``; sampling parameters are checked and have no other effect: rules do not sample."""

    messages: list[Message]
    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = 1
    stop: Annotated[list[str] | None, BeforeValidator(_as_list)] = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Tool] | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    add_generation_prompt: bool = True

    @model_validator(mode="before")
    @classmethod
    def _agrees_with_itself(cls, data: Any) -> Any:  # noqa: ANN401 - what JSON held
        if isinstance(data, dict):
            _check_agreement(cast("dict[str, Any]", data))
        return cast("Any", data)

    @model_validator(mode="after")
    def _could_be_sampled(self) -> Self:
        for name, holds, rule in _SAMPLING:
            value: float | None = getattr(self, name)
            if value is not None and not holds(value):
                raise refused_value(f"{name} must be {rule}, got {value}.", name, value)
        if self.stop and "" in self.stop:
            raise RefusedError("stop cannot contain an empty string.")
        return self


class TokenizeRequest(_Wire):
    """``POST /tokenize``: a prompt, or messages with tools."""

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    add_generation_prompt: bool = True
    return_token_strs: bool | None = False


class DetokenizeRequest(_Wire):
    """``POST /detokenize``."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0, lt=2**63)]]


_SAMPLING: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("temperature", math.isfinite, "a finite number"),
    ("temperature", lambda value: value >= 0, "non-negative"),
    ("temperature", lambda value: value <= 2, "in [0, 2]"),  # noqa: PLR2004 - vLLM's bound
    ("top_p", lambda value: 0 < value <= 1, "in (0, 1]"),
    ("n", lambda value: value >= 1, "at least 1"),
    ("n", lambda value: value == 1, "1 when using greedy sampling"),
)


def _check_agreement(data: Mapping[str, Any]) -> None:
    """Refuse fields that contradict each other, in vLLM's words and order."""
    if data.get("stream_options") and not data.get("stream"):
        raise refused_value("Stream options can only be defined when `stream=True`.", "stream_options")
    form = data.get("response_format")
    if isinstance(form, Mapping) and form.get("type") == "json_schema" and not form.get("json_schema"):  # pyright: ignore[reportUnknownMemberType] - JSON object
        message = "When response_format type is 'json_schema', the 'json_schema' field must be provided."
        raise refused_value(message, "response_format")
    if data.get("tools") == []:
        message = "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely."
        raise refused_value(message, "tools")
    _check_tool_choice(data.get("tool_choice"), data.get("tools"))


def _check_tool_choice(choice: Any, tools: Any) -> None:  # noqa: ANN401 - what JSON held
    if choice in (None, "none"):
        return
    if not tools:
        raise refused_value("When using `tool_choice`, `tools` must be set.", "tool_choice")
    if isinstance(choice, str) and choice not in {"auto", "required"}:
        known = 'Only named tools, "none", "auto" or "required" are supported.'
        raise refused_value(f"Invalid value for `tool_choice`: {choice}! {known}", "tool_choice")


def parse(shape: type[_Request], body: bytes) -> _Request:
    """Return the request in ``body``.

    Raises:
        RefusedError: the body is not JSON, has not the request's shape, or contradicts itself.
    """
    data = _load(body)
    if data is None:
        raise refused_body([{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}])
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise refused_shape(error) from error


def _load(body: bytes) -> Any:  # noqa: ANN401 - what JSON held
    try:
        return json.loads(body.decode()) if body else None
    except json.JSONDecodeError as error:
        what: dict[str, Any] = {
            "type": "json_invalid",
            "loc": ("body", error.pos),
            "msg": "JSON decode error",
            "input": {},
        }
        raise refused_body([{**what, "ctx": {"error": error.msg}}]) from error
    except (ValueError, RecursionError) as error:
        raise RoutingError("There was an error parsing the body", status=400) from error
