"""The installed vLLM is asked: its own parser judges command lines, in a process of its own that is ended in time.

Gives `verdicts`. The process (`infra.vllm.options_read`) loads vLLM's Python, which takes seconds, but no weights; it
sees no GPU, opens no connection, and gets no key.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.errors import ConfigurationError
from infra.text.plain import short_line

SCRIPT = Path(__file__).with_name("options_read.py")
ASK_SECONDS = 120.0
MAX_REPLY_CHARS = 1 << 22
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")


class Unasked(ConfigurationError):  # noqa: N818 - what happened
    """An installed vLLM could not be asked; what it would have said is not known."""


def verdicts(
    python: Path, lines: Sequence[Sequence[str]], *, engine: bool = False, seconds: float = ASK_SECONDS
) -> list[str]:
    """Return what vLLM says to each line of words after ``vllm serve``; '' where it takes them.

    Args:
        python: the Python that has vLLM.
        lines: each the words of one command, the model first.
        engine: whether the engine's configuration is built, too: it reads the model's folder and takes seconds a line.
        seconds: until the process is ended.

    Raises:
        Unasked: it cannot be asked, or does not answer in time.
    """
    asked = "".join(json.dumps(list(words)) + "\n" for words in lines)
    command = [str(python), str(SCRIPT), "check", *(["--engine"] if engine else [])]
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, timeout=seconds, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unasked(f"vLLM of {python} did not judge its arguments in {seconds:g} s; --no-ask skips it") from error
    except OSError as error:
        raise Unasked(f"{python} cannot be run ({error.strerror}); see DOCMIND_SERVE__PYTHON") from error
    return _read(python, done.stdout[:MAX_REPLY_CHARS], done.stderr, len(lines))


def _read(python: Path, out: str, err: str, wanted: int) -> list[str]:
    try:
        said = [short_line(str(json.loads(line))) for line in out.splitlines()]
    except ValueError:
        said = []
    if len(said) != wanted:
        last = short_line(err.strip().splitlines()[-1]) if err.strip() else "no word why"
        raise Unasked(f"vLLM of {python} cannot be asked for its arguments: {last}; --no-ask skips it")
    return said


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {"CUDA_VISIBLE_DEVICES": ""}
