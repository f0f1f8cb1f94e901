"""The script that runs inside vLLM's Python, here with a small package that stands in for vLLM."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.vllm.asking import SCRIPT, verdicts

PACKAGE = {
    "version.py": "__version__ = '9.9.1+cpu'\n",
    "envs.py": "environment_variables = {'VLLM_B': None, 'VLLM_A': None, 'CUDA_HOME': None}\n",
    "utils/argparse_utils.py": "import argparse\nclass FlexibleArgumentParser(argparse.ArgumentParser):\n    pass\n",
    "tool_parsers/__init__.py": """
class ToolParserManager:
    @classmethod
    def list_registered(cls):
        return ["hermes", "alpha"]
""",
    "reasoning/__init__.py": "class ReasoningParserManager:\n    reasoning_parsers = {'qwen3': None}\n",
    "engine/arg_utils.py": """
class AsyncEngineArgs:
    @classmethod
    def from_cli_args(cls, parsed):
        made = cls()
        made.parsed = parsed
        return made

    def create_engine_config(self):
        self.parsed.shared.append(self.parsed.model)
        if len(self.parsed.shared) > 1:
            raise ValueError("saw the line before")
        if self.parsed.max_model_len == 13:
            raise ValueError("no such\\n  length")
""",
    "entrypoints/common/cli_args.py": """
import argparse
print("noise on the way")

def human_readable_int_or_auto(text):
    return -1 if text == "auto" else int(text)

def optional_type(return_type):
    def typ(text):
        return return_type(text)
    return typ

def make_arg_parser(parser):
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model", default="")
    parser.add_argument("--shared", default=[], nargs="*")
    parser.add_argument("--max-model-len", type=human_readable_int_or_auto)
    parser.add_argument("--size", "-s", type=optional_type(float))
    parser.add_argument("--kind", choices=["a", "b"])
    parser.add_argument("--eager", action=argparse.BooleanOptionalAction)
    parser.add_argument("--tag", nargs="?")
    parser.add_argument("--count", type=int, default=1)
    return parser

def validate_parsed_serve_args(args):
    if args.count == 7:
        raise TypeError("not seven")

def validate_api_server_args(args):
    if args.count == 8:
        raise KeyError("not eight")
""",
}


WORDS = ("--nothing", "--count 7", "--count 8", "--kind c")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / "vllm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


def test_the_list_says_what_the_parser_takes(python: Path) -> None:
    done = subprocess.run([python, SCRIPT, "list"], capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    options = told.pop("options")
    assert told == {
        "version": "9.9.1",
        "read": "the real parser, make_arg_parser of vllm.entrypoints.common.cli_args",
        "tool_call_parsers": ["alpha", "hermes"],
        "reasoning_parsers": ["qwen3"],
        "environment": ["VLLM_A", "VLLM_B"],
    }
    assert options == {
        "--count": {"value": "int"},
        "--eager": {"value": "none", "also": ["--no-eager"]},
        "--kind": {"value": "text", "choices": ["a", "b"]},
        "--max-model-len": {"value": "length"},
        "--model": {"value": "text"},
        "--shared": {"value": "text*"},
        "--size": {"value": "float", "also": ["-s"]},
        "--tag": {"value": "text?"},
    }
    assert "noise" in done.stderr


def test_each_line_is_judged_and_the_process_goes_on(python: Path) -> None:
    lines = [
        ["m"],
        ["m", "--nothing"],
        ["m", "--count", "7"],
        ["m", "--count", "8"],
        ["m", "--kind", "c"],
        ["m", "--help"],
    ]
    said = verdicts(python, lines)
    assert said[0] == ""
    assert said[1] == "unrecognized arguments: --nothing"
    assert said[2:4] == ["not seven", "'not eight'"]
    assert "invalid choice: 'c'" in said[4]


def test_the_engine_s_configuration_is_built_for_each_line_apart(python: Path) -> None:
    lines = [["a"], ["b"], ["c", "--max-model-len", "13"]]
    assert verdicts(python, lines, engine=True) == ["", "", "no such length"]
    assert verdicts(python, lines) == ["", "", ""]


def test_a_python_without_vllm_is_said() -> None:
    with pytest.raises(ConfigurationError, match="this vLLM has no FlexibleArgumentParser; looked in"):
        verdicts(Path(sys.executable), [["m"]])
