"""The door of the planner: ``docmind plan``. A bar of the card's memory, tables and what to change; or one JSON object.

Nothing is run and nothing is fetched: every figure that is shown is predicted, and says how it is known.
"""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.errors import ConfigurationError, DocMindError
from infra.text.plain import lines, one_line
from infra.vllm import gpus, machine, models
from infra.vllm.asked import asks
from infra.vllm.facts import GIB, Wanted
from infra.vllm.memory import CONTEXT_BYTES
from infra.vllm.plan import Plan, plan
from infra.vllm.profiles import PROFILES
from infra.vllm.remedies import Remedy, remedies
from infra.vllm.targets import TYPE_BITS, TargetPlan, target_plan

BAR = 60
_COLOURS = {
    "weights": "blue",
    "activations": "magenta",
    "CUDA graphs": "yellow",
    "runtime": "cyan",
    "KV cache": "green",
}

app = typer.Typer(add_completion=False)


@app.command()
@asks
def show(
    wanted: Wanted,
    *,
    target: Annotated[str, typer.Option(help=f"vllm, {' or '.join(TYPE_BITS)}.")] = "vllm",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Say whether a model, a context and a KV cache fit on a GPU, what that leaves, and which single change helps.

    Exit codes: 0 it fits, 1 it does not, 2 wrong use. Every figure is predicted.
    """
    try:
        code = _answer(wanted, target, as_json=as_json)
    except DocMindError as error:
        typer.echo(f"docmind: {lines(str(error))}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


def _answer(wanted: Wanted, target: str, *, as_json: bool) -> int:
    model, gpu = models.model(wanted.model), gpus.here(wanted.gpu)
    if target in TYPE_BITS:
        other = target_plan(
            "ollama" if target == "ollama" else "llamacpp", model, gpu, wanted.context, wanted.beside_bytes
        )
        _print(target_json(other)) if as_json else show_target(Console(), other)
        return 0 if any(row.longest >= other.context for row in other.rows) else 1
    if target != "vllm":
        raise typer.BadParameter(f"--target {one_line(target)!r}: vllm, {' or '.join(TYPE_BITS)}")
    ram = machine.here().ram_bytes if wanted.gpu is None and wanted.offload_gib else 0
    if 0 < ram < wanted.offload_gib * GIB:
        raise ConfigurationError(
            f"--offload-gib {wanted.offload_gib:g} is more than the {ram / GIB:.1f} GiB of main memory that are here"
        )
    found = plan(model, gpu, wanted)
    cures = remedies(found)
    _print(plan_json(found, cures)) if as_json else show_plan(Console(), found, cures)
    return 0 if found.fits else 1


def _print(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def show_plan(console: Console, found: Plan, cures: tuple[Remedy, ...]) -> None:
    """Print the plan for people."""
    model, gpu = found.model, found.gpu
    quantized = f", {model.quantization}" if model.quantization else ""
    many = f"{gpu.count} x " if gpu.count > 1 else ""
    console.print(
        Text(f"{one_line(model.name)} ({model.params / 1e9:.1f}B{quantized}) on {many}{gpu.name}", style="bold")
    )
    console.print(Text("All figures are predicted; nothing was run.", style="dim"))
    console.print(bar(found))
    console.print(_memory_table(found))
    console.print(_kv_table(found))
    console.print(_numbers(found))
    for line in verdict(found, cures):
        console.print(Text(line), soft_wrap=True)


def bar(found: Plan) -> Text:
    """Return one GPU's memory as a bar: what each part takes of it, in `BAR` cells."""
    total = found.gpu.vram_bytes
    text = Text("|")
    shown = [(part.name, part.size_bytes) for part in found.parts] + [("KV cache", max(0, found.available_bytes))]
    used = cells = 0
    for name, size in shown:
        used += size
        upto = min(BAR, round(BAR * used / total))
        text.append("█" * (upto - cells), style=_COLOURS[name])
        cells = max(cells, upto)
    text.append("·" * (BAR - cells)).append(f"| {total / GIB:.1f} GiB\n ")
    for name, size in shown:
        text.append("█ ", style=_COLOURS[name]).append(f"{name} {size / GIB:.2f}  ")
    return text


def _memory_table(found: Plan) -> Table:
    table = Table("one GPU's memory", "GiB, predicted", "known", "from")
    for part in found.parts:
        size = f"{part.size_bytes / GIB:.2f} ± {part.error_bytes / GIB:.2f}"
        table.add_row(part.name, size, part.known, Text(part.why))
    error = found.error_bytes / GIB
    table.add_row("left for the KV cache", f"{found.available_bytes / GIB:.2f} ± {error:.2f}", "estimate", "the rest")
    share = f"{found.wanted.utilization:g} of {found.gpu.vram_bytes / GIB:.2f}"
    table.add_row("vLLM's share", f"{found.budget_bytes / GIB:.2f}", "given", share, style="bold")
    beside = max(found.wanted.beside_bytes, found.gpu.in_use_bytes) + CONTEXT_BYTES
    table.add_row("beside it", f"{beside / GIB:.2f} ± 0.15", "estimate", "CUDA context and other programs")
    return table


def _kv_table(found: Plan) -> Table:
    table = Table("KV cache", "bytes a token", f"GiB at {found.context:,}", "saving", "longest", "at once", "")
    for row in found.kv:
        chosen = (
            "chosen" if row.kv_dtype == found.kv_dtype or (row.kv_dtype, found.kv_dtype) == ("fp8_e4m3", "fp8") else ""
        )
        table.add_row(
            row.kv_dtype,
            f"{row.token_bytes:,}",
            f"{row.request_bytes / GIB:.2f}",
            f"{row.saving:.0%}",
            f"{row.longest:,}",
            f"{row.concurrent:.1f}" if row.concurrent >= 1 else "none",
            Text(row.refused or chosen),
        )
    return table


def _numbers(found: Plan) -> Table:
    table = Table("predicted", "", show_header=False)
    table.add_row(
        "longest request", f"{found.longest:,} tokens of the {found.model.max_context:,} that the model allows"
    )
    lengths = (
        ", ".join(f"{count:.1f} of {length:,}" for length, count in found.at_length if count >= 1) or "none of 4,096"
    )
    table.add_row("requests at once", f"{lengths} tokens ({found.step.sequences} at most)")
    speed = found.speed
    if speed.decode_short and speed.decode_long and speed.decode_together:
        table.add_row(
            "decode, ceiling",
            f"{speed.decode_short:.0f} tokens/s at the start of a request, {speed.decode_long:.0f} at {speed.context:,}"
            f" tokens, {speed.decode_together:.0f} for {speed.sequences} of these together (memory bandwidth)",
        )
    if speed.prefill:
        table.add_row("prefill, ceiling", f"{speed.prefill:,.0f} tokens/s for {speed.context:,} tokens (compute)")
    if found.wanted.offload_gib:
        more = "tokens whose prefixes stay in main memory; a single request gets no longer"
        table.add_row("off-loading", f"{found.wanted.offload_gib:g} GiB keep {found.offload_tokens:,} {more}")
    table.add_row("known from", Text(f"{one_line(found.model.source)}; {found.gpu.source}"))
    return table


def verdict(found: Plan, cures: tuple[Remedy, ...]) -> list[str]:
    """Return in words whether it fits, and what makes it fit."""
    profile = PROFILES.get(found.wanted.profile)
    notes = [*found.model.notes, *(profile.beside if profile else ())]
    if found.model.dtype == "bfloat16" and "bfloat16" not in found.gpu.kv_types:
        notes.append(
            f"{found.gpu.name} does not compute in bfloat16: vLLM needs --dtype half, which some models bear badly."
        )
    if found.fits:
        tight = found.available_bytes - found.request_bytes < found.error_bytes
        but = "; it is close, within the error of the estimate" if tight else ""
        return [f"Fits: {found.context:,} tokens, predicted{but}.", *notes]
    said = [f"Does not fit, predicted: {problem}" for problem in found.problems]
    if not cures:
        return [*said, "No single change makes it fit; take a smaller model, or several changes together.", *notes]
    best, *others = cures
    said.append(f"The single change that makes it fit: {best.change} (then {best.plan.longest:,} tokens fit).")
    return [*said, *(f"Or: {cure.change}." for cure in others), *notes]


def plan_json(found: Plan, cures: tuple[Remedy, ...]) -> dict[str, Any]:
    """Return the plan as one JSON object; every figure in it is predicted."""
    values = asdict(found)
    for facts in (values["model"], values["gpu"]):
        facts.pop("folder", None)
    values["gpu"]["kv_types"] = sorted(found.gpu.kv_types)
    changes = [
        {"change": c.change, "longest": c.plan.longest, "available_bytes": c.plan.available_bytes} for c in cures
    ]
    return {
        "predicted": True,
        "fits": found.fits,
        "verdict": verdict(found, cures),
        **values,
        "error_bytes": found.error_bytes,
        "remedies": changes,
    }


def target_json(found: TargetPlan) -> dict[str, Any]:
    """Return a plan for Ollama or llama.cpp as one JSON object."""
    return {"predicted": True, **asdict(found)}


def show_target(console: Console, found: TargetPlan) -> None:
    """Print a plan for Ollama or llama.cpp."""
    weights, work = found.weight_bytes / GIB, found.work_bytes / GIB
    console.print(
        Text(f"{found.target}: weights {weights:.2f} GiB as {found.file_type}, work space {work:.2f} GiB, predicted")
    )
    table = Table("KV cache", "bytes a token", f"GiB at {found.context:,}", "saving", "longest that fits")
    for row in found.rows:
        size = f"{row.request_bytes / GIB:.2f}"
        table.add_row(row.kv_dtype, f"{row.token_bytes:,.0f}", size, f"{row.saving:.0%}", f"{row.longest:,}")
    console.print(table)
    console.print(Text(found.command), soft_wrap=True)


if __name__ == "__main__":
    app()
