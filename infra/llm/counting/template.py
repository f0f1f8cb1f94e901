"""The chat template of a model's folder: messages and tools to the prompt's text, as vLLM renders them.

Gives `ChatTemplate` (`render`), and `open_template` for a folder. The template is chosen as vLLM 0.32 chooses it
(``vllm/renderers/hf.py``), the environment is that of transformers 5 (``utils/chat_template_utils.py``).

A template is code of the model's author. It runs in Jinja's sandbox without a loader, and every turn of a loop looks at
the clock: a template that takes longer than `RENDER_SECONDS` is stopped. Templates are text, they open no connection.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from infra.errors import ConfigurationError
from infra.llm.counting.messages import ContentFormat, Unrenderable, Wire, template_messages, template_tools
from infra.text.shown import one_line

RENDER_SECONDS = 2.0
MAX_TEMPLATE_BYTES = 1_000_000
MAX_CONFIG_BYTES = 64_000_000
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# names with a meaning of their own to vLLM or to transformers' apply_chat_template
_OWN_NAMES = {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "conversation"} | {
    *("chat_template", "tokenize", "tokenizer_kwargs", "padding", "truncation", "max_length"),
    *("return_tensors", "return_dict", "return_assistant_tokens_mask"),
}

_DICT_NAMES = frozenset(dir(dict))
_deadline: ContextVar[float] = ContextVar("deadline")


class TemplateTooSlow(Unrenderable):
    """A template did not end in time."""


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
        try:
            self._compiled = {name: _compiled(sources[name]) for name in ("default", "tool_use") if name in sources}
        except jinja2.TemplateError as error:
            raise ConfigurationError(f"the chat template is not Jinja: {one_line(str(error))}") from error

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
        template = self._compiled["tool_use" if tools is not None and "tool_use" in self._compiled else "default"]
        values: dict[str, Any] = {
            "messages": template_messages(messages, form),
            "tools": None if tools is None else template_tools(tools),
            "documents": None,
            "add_generation_prompt": options.get("add_generation_prompt", True),
        }
        mark = _deadline.set(time.monotonic() + RENDER_SECONDS)
        try:
            return template.render(self._tokens | _variables(options) | values)
        except Unrenderable:
            raise
        except Exception as error:  # a template is foreign code: it may raise anything
            raise Unrenderable(one_line(f"{type(error).__name__}: {error}")) from error
        finally:
            _deadline.reset(mark)


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
        raise ConfigurationError(f"{path} is not JSON: {one_line(str(error))}") from error
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


class _Clock(Extension):
    """The ``generation`` tag of transformers, which only marks text; and the look at the clock in every loop."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's way

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def tick(self) -> nodes.Stmt:
        """Return the statement that looks at the clock: an attribute, since calls are dear in the sandbox."""
        return nodes.ExprStmt(self.attr("look"))

    @property
    def look(self) -> None:
        """Raise `TemplateTooSlow` once the time is over."""
        if time.monotonic() > _deadline.get():
            raise TemplateTooSlow(f"the template did not end in {RENDER_SECONDS:g} s")

    def _same(self, caller: Any) -> str:  # noqa: ANN401 - a jinja2 macro
        return caller()


class _Sandbox(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - any value of a template
        """Return what the sandbox returns, without its detour for the fields of an object: a half of all the time."""
        if type(obj) is dict and attribute not in _DICT_NAMES and attribute in obj:
            return cast("dict[str, Any]", obj)[attribute]
        return super().getattr(obj, attribute)


def _compiled(source: str) -> jinja2.Template:
    """Compile a template in the environment of transformers, a look at the clock in every loop."""
    env = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Clock, loopcontrols])
    env.filters["tojson"] = _to_json
    tree = env.parse(source)
    clock = next(extension for extension in env.iter_extensions() if isinstance(extension, _Clock))
    for loop in list(tree.find_all(nodes.For)):
        loop.body.insert(0, clock.tick().set_lineno(loop.lineno))
    names = env.make_globals({"raise_exception": _refuse, "strftime_now": _now})
    return env.template_class.from_code(env, env.compile(tree), names)


def _to_json(
    x: Any,  # noqa: ANN401 - any value
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> str:
    raise jinja2.TemplateError(message)


def _now(format: str) -> str:
    return datetime.now().strftime(format)  # noqa: DTZ005 - the server's wall clock, as transformers
