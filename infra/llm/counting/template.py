"""The process that renders chat templates: the environment of transformers, and requests answered one by one.

Gives `main`, started by `infra.llm.counting.rendering`, and `compiled` and `answer`, the work itself. A template is
code of the model's author, and Jinja's sandbox bounds neither time nor memory: a macro may call itself twice, a string
may be doubled again and again, and one comparison of lists that hold each other may take for ever without a step in
between. So a watchdog of its own thread ends the whole process when one answer takes too long, and the system refuses
it more memory. The environment is that of transformers 5 (``utils/chat_template_utils.py``), without a loader.

Requests are `marshal`ed, since they come from our own process and are long; replies are bare text, since a template's
author has a hand in them. Before each stands its length in `LENGTH` bytes, before a reply its kind.
"""

import faulthandler
import json
import marshal
import os
import resource
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

LENGTH = 8
DONE, REFUSED = b"+", b"-"
FREE_BYTES = 1_000_000
MAX_GROWTH = 8  # a letter escaped in JSON is six
_DICT_NAMES = frozenset(dir(dict))


def main(seconds: float, memory_bytes: int) -> None:
    """Answer requests until the input ends; the process ends itself over an answer that takes too long."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    serve(sys.stdin.buffer, sys.stdout.buffer, seconds)


def serve(requests: IO[bytes], replies: IO[bytes], seconds: float) -> None:
    """Answer all requests; the first holds the templates."""
    templates: dict[str, jinja2.Template] = {}
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        while head := requests.read(LENGTH):
            data = requests.read(int.from_bytes(head))
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            kind, text = answer(templates, cast("dict[str, Any]", marshal.loads(data)), len(data))
            faulthandler.cancel_dump_traceback_later()
            replies.write(kind + len(text).to_bytes(LENGTH) + text)
            replies.flush()


def answer(templates: dict[str, jinja2.Template], request: Mapping[str, Any], size: int) -> tuple[bytes, bytes]:
    """Compile the templates of a request, or render one with its values.

    Args:
        templates: compiled so far; more are put in.
        request: ``sources`` by name, or ``template`` and ``values``.
        size: bytes of the request; a prompt that is far longer is refused.

    Returns:
        `DONE` and the prompt, or `REFUSED` and why.
    """
    try:
        if "sources" in request:
            templates |= {name: compiled(source) for name, source in request["sources"].items()}
            return DONE, b""
        text = templates[request["template"]].render(request["values"]).encode("utf-8", "surrogatepass")
    except MemoryError:  # the process has had its share
        raise
    except Exception as error:  # noqa: BLE001 - a template is foreign code: it may raise anything
        return REFUSED, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:FREE_BYTES]
    if len(text) > FREE_BYTES + MAX_GROWTH * size:
        return REFUSED, f"a prompt of {len(text):,} bytes from {size:,}".encode()
    return DONE, text


def compiled(source: str) -> jinja2.Template:
    """Compile a template in the environment of transformers. Raises jinja2.TemplateError."""
    env = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    env.filters["tojson"] = _to_json
    return env.from_string(source, {"raise_exception": _refuse, "strftime_now": _now})


class _Generation(Extension):
    """The ``generation`` tag of transformers, which only marks text."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's way

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller: Any) -> str:  # noqa: ANN401 - a jinja2 macro
        return caller()


class _Sandbox(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - any value of a template
        """Return what the sandbox returns, without its detour for the fields of an object: a half of all the time."""
        if type(obj) is dict and attribute not in _DICT_NAMES and attribute in obj:
            return cast("dict[str, Any]", obj)[attribute]
        return super().getattr(obj, attribute)


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


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
