"""``docmind doctor``: is the running server the one that the settings describe, and does it do what DocMind needs.

One line a check, as it is found: pass, fail or unknown, what was there, and the cure (a flag of vLLM's or a setting).
Exit codes: 0 nothing failed, 1 something did, 2 wrong use. Nothing but the configured address is contacted; about ten
short calls are made. The checks are in `infra.vllm.doctor_checks` and `infra.vllm.doctor_trials`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from infra.llm.endpoint import Transports
from infra.settings import Settings, load_settings
from infra.telemetry import set_up_logging
from infra.text.plain import one_line
from infra.vllm import doctor_checks as checks
from infra.vllm.doctor_checks import Case, Line, Verdict
from infra.vllm.doctor_trials import TRIALS
from infra.vllm.wire import Server

app = typer.Typer(add_completion=False)

WORDS: dict[Verdict, str] = {"pass": "pass", "fail": "FAIL", "unknown": "?"}
_AFTER_HEALTH = ("version", "key", "model", "window", "KV cache type")


@app.command()
def doctor(
    base_url: Annotated[
        str | None, typer.Option(help="Where the server's OpenAI API answers. [default: DOCMIND_VLLM__BASE_URL]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check a running vLLM server against the settings; exit code 1 when something fails."""
    settings = load_settings(vllm={"base_url": base_url} if base_url else None)
    set_up_logging(settings)
    lines: list[Line] = []
    for line in examined(settings):
        lines.append(line)
        if not as_json:
            typer.echo("\n".join(shown(line)))
    failed = sum(line.verdict == "fail" for line in lines)
    if as_json:
        typer.echo(json.dumps({"failed": failed, "checks": [asdict(line) for line in lines]}, ensure_ascii=False))
    raise typer.Exit(1 if failed else 0)


def examined(settings: Settings, transports: Transports | None = None) -> Iterator[Line]:
    """Return the findings one by one, in a fixed order.

    Args:
        settings: say where the server is, and how it should be.
        transports: what carries the requests; None is the network.
    """
    with Server(settings.vllm.base_url, settings.vllm.api_key, transports=transports) as server:
        case = Case(server, settings)
        yield checks.data_folder(case)
        alive = checks.health(case)
        yield alive
        if alive.verdict == "fail":
            names = (*_AFTER_HEALTH, *(name for names in TRIALS for name in names))
            yield from (Line(name, "unknown", "not asked") for name in names)
            return
        yield checks.version(case)
        yield from checks.model_and_window(case)
        yield checks.kv_type(case)
        for names, trial in TRIALS.items():
            if case.served is None:
                yield from (Line(name, "unknown", "not asked: no model is known to be served") for name in names)
            else:
                yield from trial(case)


def shown(line: Line) -> list[str]:
    """Return a finding as a person reads it: one line, and one for its cure where something is to be done."""
    told = [f"{WORDS[line.verdict]:4}  {line.check:18} {one_line(line.found)}"]
    return told + ([f"{'':25}cure: {one_line(line.cure)}"] if line.cure and line.verdict != "pass" else [])


if __name__ == "__main__":
    app()
