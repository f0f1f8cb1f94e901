"""Runs inside a Python that has vLLM: prints the options of its real parser, or lets that parser judge command lines.

``PYTHON options_read.py list`` prints one JSON object, the file ``data/options/VERSION.json`` of `infra.vllm.options`.
``PYTHON options_read.py check`` reads one JSON list of words a line (what stands after ``vllm serve``) and prints one
JSON string a line: empty where vLLM takes the words, else what it says. ``check --engine`` also builds the engine's
configuration, which reads the model's folder and takes seconds.

Imports nothing of DocMind, because the other Python does not have it. Starts no server, loads no weights, opens no
connection. vLLM moved both names between versions; every place that 0.10 to 0.33 have is listed.
"""

import argparse
import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from typing import Any, NoReturn

_CLI = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
_PARSERS = ("vllm.utils.argparse_utils", "vllm.utils")
_SERVERS = (_CLI[0], "vllm.entrypoints.launchers.launcher", "vllm.entrypoints.openai.api_server")
_TOOL_PARSERS = ("vllm.tool_parsers", "vllm.entrypoints.openai.tool_parsers")
_KINDS = {"int": "int", "float": "float", "human_readable_int": "size", "human_readable_int_or_auto": "length"}
_ENGINE = "--engine"
_SHOWN_CHARS = 2_000


def main() -> None:
    """Carry out the one word given."""
    for name in ("VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # whatever vLLM prints on the way is not part of the reply
        lines = [_laid_out(listed())] if sys.argv[1] == "list" else checked(sys.stdin)
        for line in lines:
            out.write(line + "\n")
            out.flush()


def listed() -> dict[str, Any]:
    """Return every option of ``vllm serve``, the registered parsers, and the environment variables that vLLM reads."""
    made = _made()
    old = getattr(made, "_deprecated", set[argparse.Action]())
    envs = importlib.import_module("vllm.envs")
    return {
        "version": importlib.import_module("vllm.version").__version__.partition("+")[0],
        "read": "the real parser, make_arg_parser of " + _first(_CLI, "make_arg_parser").__name__,
        "options": dict(sorted(_option(action, names, action in old) for action, names in _actions(made).items())),
        "tool_call_parsers": sorted(_registered(_TOOL_PARSERS, "ToolParserManager", "tool_parsers")),
        "reasoning_parsers": sorted(_registered(("vllm.reasoning",), "ReasoningParserManager", "reasoning_parsers")),
        "environment": sorted(name for name in envs.environment_variables if name.startswith("VLLM_")),
    }


def checked(lines: Iterable[str]) -> Iterable[str]:
    """Judge each line of ``lines``; yield what vLLM says to it as a JSON string."""
    made = _made()
    checks = [
        _first(_CLI, "validate_parsed_serve_args").validate_parsed_serve_args,
        _first(_SERVERS, "validate_api_server_args").validate_api_server_args,
    ]
    for line in lines:
        if _ENGINE in sys.argv:  # it writes into the parser's own defaults, which the next line must not see
            made = _made()
        yield json.dumps(_verdict(made, checks, json.loads(line))[:_SHOWN_CHARS])


def _verdict(made: argparse.ArgumentParser, checks: list[Any], words: list[str]) -> str:
    try:
        parsed = made.parse_args(words)
        if hasattr(parsed, "model_tag") and parsed.model_tag is not None:
            parsed.model = parsed.model_tag  # what the command ``vllm serve`` itself does
        for check in checks:
            check(parsed)
        if _ENGINE in sys.argv:
            importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs.from_cli_args(
                parsed
            ).create_engine_config()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it says is the verdict
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _made() -> argparse.ArgumentParser:
    flexible: Any = _first(_PARSERS, "FlexibleArgumentParser").FlexibleArgumentParser

    class Parser(flexible):  # one that says what is wrong in place of ending the process
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    return _first(_CLI, "make_arg_parser").make_arg_parser(Parser())


def _actions(made: argparse.ArgumentParser) -> dict[argparse.Action, list[str]]:
    """Return each action with all names that the parser takes for it, also those that its help hides."""
    names: dict[argparse.Action, list[str]] = {}
    for name, action in made._option_string_actions.items():  # noqa: SLF001 - argparse shows them nowhere else
        if action.dest != "help":
            names.setdefault(action, []).append(name)
    return names


def _laid_out(facts: dict[str, Any]) -> str:
    """Return JSON with one line an option, so that two versions can be compared by a person."""
    options = ",\n".join(f"  {json.dumps(name)}: {json.dumps(option)}" for name, option in facts["options"].items())
    rest = json.dumps({key: value for key, value in facts.items() if key != "options"})
    return rest[:-1] + ', "options": {\n' + options + "\n}}"


def _first(modules: tuple[str, ...], name: str) -> Any:  # noqa: ANN401 - a module
    for module in modules:
        with suppress(ImportError):
            found = importlib.import_module(module)
            if hasattr(found, name):
                return found
    raise SystemExit(f"this vLLM has no {name}; looked in {', '.join(modules)}")


def _registered(modules: tuple[str, ...], manager: str, old: str) -> list[str]:
    found = getattr(_first(modules, manager), manager)
    return list(found.list_registered() if hasattr(found, "list_registered") else getattr(found, old))


def _option(action: argparse.Action, names: list[str], deprecated: bool) -> tuple[str, dict[str, Any]]:
    dashed = "--" + action.dest.replace("_", "-")
    name = dashed if dashed in names else max(names, key=len)
    facts: dict[str, Any] = {"value": _value(action)}
    if others := sorted(set(names) - {name}):
        facts["also"] = others
    if action.choices:
        facts["choices"] = [str(choice) for choice in action.choices]
    if deprecated:
        facts["deprecated"] = True
    return name, facts


def _value(action: argparse.Action) -> str:
    """Return ``none`` for a bare flag, else ``int``, ``size`` (as 128K), ``length`` (or auto), ``float`` or ``text``.

    A ``?`` behind it: the value may be left out; a ``*``: there may be several.
    """
    if action.nargs == 0:
        return "none"
    kind = action.type
    if inspect.isfunction(kind):  # vLLM's optional_type(int) is a function around int
        kind = inspect.getclosurevars(kind).nonlocals.get("return_type", kind)
    name = getattr(kind, "__name__", "str")
    return _KINDS.get(name, "text") + {"?": "?", "*": "*", "+": "*"}.get(str(action.nargs), "")


if __name__ == "__main__":
    main()
