"""The chat template of a model's folder: messages and tools to the prompt's text, as vLLM renders them.

Gives `ChatTemplate` (`render`), and `open_template` for a folder. The template is chosen as vLLM 0.32 chooses it
(``vllm/renderers/hf.py``). It is compiled and run in a process of its own, `infra.llm.counting.template`, which ends
when an answer takes more than `RENDER_SECONDS` or more than `MEMORY_BYTES`, and with this process or this object.
Rendering blocks for so long at most: await it in a thread.
"""

import json
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import IO, Any, cast
from weakref import finalize

from infra.errors import ConfigurationError
from infra.llm.counting.messages import ContentFormat, Unrenderable, Wire, template_messages, template_tools
from infra.text.plain import short_line

HELPER = "infra.llm.counting.template"
RENDER_SECONDS = 2.0
MEMORY_BYTES = 1 << 30
LENGTH = 8  # bytes that hold a length, as the helper has it
DONE = b"+"
MAX_TEMPLATE_BYTES = 1_000_000
MAX_CONFIG_BYTES = 64_000_000
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# names with a meaning of their own to vLLM or to transformers' apply_chat_template
_OWN_NAMES = {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "conversation"} | {
    *("chat_template", "tokenize", "tokenizer_kwargs", "padding", "truncation", "max_length"),
    *("return_tensors", "return_dict", "return_assistant_tokens_mask"),
}


class TemplateTooSlow(Unrenderable):
    """A template did not end in time, or took too much memory; it is not run again."""


class ChatTemplate:
    """The template of one model folder; thread-safe.

    Args:
        sources: Jinja texts by name; ``default`` is used, and ``tool_use`` where there are tools.
        tokens: what ``bos_token`` and the like stand for.

    Raises:
        ConfigurationError: there is no default template, or one is not Jinja.
    """

    def __init__(self, sources: Mapping[str, str], tokens: Mapping[str, str]) -> None:
        if "default" not in sources:
            raise ConfigurationError("the model's folder holds no chat template named default")
        self.text = "\n".join(sources.values())
        self._tokens = dict(tokens)
        chosen = {name: sources[name] for name in ("default", "tool_use") if name in sources}
        self._names = chosen.keys()
        self._helper = _Helper()
        try:
            self._helper.ask({"sources": chosen})
        except Unrenderable as error:
            raise ConfigurationError(f"the chat template is not Jinja: {error}") from error

    def render(self, messages: Sequence[Wire], tools: Sequence[Wire] | None, options: Wire, form: ContentFormat) -> str:
        """Return the prompt's text.

        Args:
            messages: of a chat completion's request body.
            tools: of the same.
            options: ``add_generation_prompt`` and ``chat_template_kwargs`` of the same.
            form: what contents are to this template.

        Raises:
            Unrenderable: the server may render this differently, or the template refuses it.
        """
        values: dict[str, Any] = {
            "messages": template_messages(messages, form),
            "tools": None if tools is None else template_tools(tools),
            "documents": None,
            "add_generation_prompt": options.get("add_generation_prompt", True),
        }
        name = "tool_use" if tools is not None and "tool_use" in self._names else "default"
        return self._helper.ask({"template": name, "values": self._tokens | _variables(options) | values})


def open_template(folder: Path) -> ChatTemplate:
    """Read a model folder's template; its own files win over ``tokenizer_config.json``, as in transformers.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    config = _config(folder / "tokenizer_config.json")
    tokens = _named_tokens(_config(folder / "special_tokens_map.json")) | _named_tokens(config)
    files = {path.stem: path for path in sorted(folder.glob("chat_templates/*.jinja"))}
    if (main := folder / "chat_template.jinja").is_file():
        files["default"] = main
    if files:
        return ChatTemplate({name: _read(path, MAX_TEMPLATE_BYTES) for name, path in files.items()}, tokens)
    return ChatTemplate(_named_templates(config.get("chat_template")), tokens)


def _named_templates(value: object) -> dict[str, str]:
    """Return the templates in a ``tokenizer_config.json``: one text, or a list or an object of named ones."""
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in cast("list[dict[str, Any]]", value)}
    named = cast("dict[object, object]", value) if isinstance(value, dict) else {"default": value}
    return {name: text for name, text in named.items() if isinstance(name, str) and isinstance(text, str)}


def _named_tokens(config: Wire) -> dict[str, str]:
    """Return what the named special tokens are; each is a text, or an object that holds one."""
    values = {name: config.get(name) for name in _NAMED_TOKENS}
    texts = {
        name: cast("Wire", value).get("content") if isinstance(value, dict) else value for name, value in values.items()
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _config(path: Path) -> dict[str, Any]:
    """Return a JSON object's fields; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value: Any = json.loads(_read(path, MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not JSON: {short_line(str(error))}") from error
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _read(path: Path, limit: int) -> str:
    try:
        if path.stat().st_size > limit:
            raise ConfigurationError(f"{path} is longer than {limit:,} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def _variables(options: Wire) -> dict[str, Any]:
    """Return what ``chat_template_kwargs`` gives a template; names with a meaning of their own are the server's."""
    given: dict[str, Any] = options.get("chat_template_kwargs") or {}
    if options.keys() - {"chat_template_kwargs", "add_generation_prompt"} or given.keys() & _OWN_NAMES:
        raise Unrenderable("template options that only the server knows")
    return {name: value for name, value in given.items() if value is not None and value != "auto"}


class _Helper:
    """The process that renders; thread-safe, one request at a time. It ends with this object."""

    def __init__(self) -> None:
        here = str(Path(__file__).resolve().parents[3])
        paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", HELPER, str(RENDER_SECONDS), str(MEMORY_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is not for it
        )
        self._lock = Lock()
        self._end = finalize(self, _ended, self._process)

    def ask(self, request: dict[str, Any]) -> str:
        """Return the answer's text.

        Raises:
            Unrenderable: the template refuses, or the request holds what is not JSON.
            TemplateTooSlow: the process has ended.
        """
        try:
            data = marshal.dumps(request)
        except ValueError as error:
            raise Unrenderable(short_line(str(error))) from error
        with self._lock:
            kind, text = _exchange(self._process, data) if self._end.alive else (b"", "")
            if not kind:
                self._end()
                raise TemplateTooSlow(f"the template did not end in {RENDER_SECONDS:g} s, or took too much memory")
        if kind != DONE:
            raise Unrenderable(short_line(text))
        return text


def _exchange(process: subprocess.Popen[bytes], data: bytes) -> tuple[bytes, str]:
    """Return an answer's kind and text; no kind from a process that has ended."""
    asked, answered = cast("tuple[IO[bytes], IO[bytes]]", (process.stdin, process.stdout))
    try:
        asked.write(len(data).to_bytes(LENGTH) + data)
        asked.flush()
    except BrokenPipeError:
        return b"", ""
    head = answered.read(1 + LENGTH)
    size = int.from_bytes(head[1:])
    text = answered.read(size)
    return (head[:1], text.decode("utf-8", "surrogatepass")) if head and len(text) == size else (b"", "")


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
