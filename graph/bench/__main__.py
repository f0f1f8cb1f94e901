"""The door for measurements: ``python -m graph.bench NAME``, the same as ``docmind bench NAME``."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from graph.bench import answers as answers_bench
from graph.bench import cache as cache_bench
from graph.bench import cache_aims, cache_replay, cache_speed, economy, plots, tokens_arms, tokens_report
from graph.bench import citations as citations_bench
from graph.bench import compress as compress_bench
from graph.bench import counting as counting_bench
from graph.bench import ingest as ingest_bench
from graph.bench import retrieval as retrieval_bench
from graph.bench import scale as scale_bench
from graph.bench import tokens as tokens_bench
from graph.bench.latency_door import latency
from graph.bench.report import show
from infra.errors import DocMindError
from infra.settings import Settings, load_settings
from infra.telemetry import set_up_logging
from tools.arguments import DocsCommand

TABLE_WIDTH = 160
"""Columns of a table that goes into a file."""

_SECONDS = ("seconds", "processor_seconds")

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.command()(latency)
app.command()(economy.overhead)
app.command()(economy.load)


@app.command()
def answers(
    data: Annotated[Path, typer.Option(help="The folder lihua_world of the evaluation data.")],
    out: Annotated[Path | None, typer.Option(help="Keep the answers in this file, one JSON object a line.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions worked on at once.")] = 4,
    backend: Annotated[str | None, typer.Option(help="auto, vllm, llamacpp, ollama, openai or engine.")] = None,
) -> None:
    """Ask all questions of LiHua-World through the whole graph and score citations and abstention."""
    with TemporaryDirectory() as folder:
        settings = _settings(backend=backend, data_dir=Path(folder))
        show("Answers over LiHua-World", answers_bench.run(settings, data, out, concurrency=concurrency))


@app.command(cls=DocsCommand)
def citations(
    answers: Annotated[Path, typer.Option(help="Answers, one JSON object a line, as --out or --json writes them.")],
    docs: Annotated[list[Path], typer.Option(help="The roots they were answered from.")],
) -> None:
    """Check that every quote stands verbatim at its offsets in the cited document; exits 1 when one does not."""
    figures = citations_bench.run(_settings(), answers, docs)
    show("Quotes", figures)
    raise typer.Exit(1 if figures["wrong"] else 0)


@app.command()
def counting(
    tokenizer: Annotated[
        Path | None, typer.Option(help="A folder with a model's tokenizer and chat template; not given: a small one.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="A server whose /tokenize is measured, ending in /v1.")] = None,
    tokens: Annotated[int, typer.Option(min=1_000, max=1_000_000, help="How long the conversation is.")] = 120_000,
) -> None:
    """Count a long conversation cold, and again with one message more, beside the bare tokenizer."""
    show("Counting tokens", counting_bench.run(tokenizer, base_url, tokens))


@app.command()
def compress(
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data, with chunking and xquad_en.")],
    sample: Annotated[int, typer.Option(min=1, help="Questions of a set.")] = compress_bench.SAMPLE,
    passages: Annotated[
        int | None, typer.Option(min=1, max=50, help="Passages found for a question; not given: as many as always.")
    ] = None,
) -> None:
    """Compress what retrieval says of each question: how much is saved, and which facts and gold spans stay.

    Beside our notes: the first tokens of the text, and the sentences with most of the question's words, as many tokens
    of each. Uses no model and a temporary folder. Takes minutes. The last line is JSON.
    """
    with TemporaryDirectory() as folder:
        settings = _settings(data_dir=Path(folder))
        figures = compress_bench.run(data, settings, sample=sample, passages=passages, console=Console(stderr=True))
    console = Console()
    compress_bench.tables(figures, console if console.is_terminal else Console(width=TABLE_WIDTH))
    typer.echo(json.dumps(figures))


@app.command()
def retrieval(
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data, or of one of its sets.")],
    out: Annotated[Path | None, typer.Option(help="Draw plots (PNG) into this folder.")] = None,
    peers: Annotated[bool, typer.Option(help="Measure BM25, MiniLM and LlamaIndex's default index as well.")] = True,
) -> None:
    """Search the evaluation sets with the defaults and with everything on, beside peers and aims.

    The sets become files and an index under DOCMIND_DATA_DIR, so that a second run embeds nothing anew; the first takes
    some minutes. Settings of search and of the embedding model are those of the environment. The last line is JSON.
    """
    if out:
        plots.check(out)
    figures = retrieval_bench.run(data, _settings(), peers=peers, console=Console(stderr=True))
    console = Console()
    retrieval_bench.tables(figures, console if console.is_terminal else Console(width=TABLE_WIDTH))
    for file in retrieval_bench.draw(figures, out) if out else ():
        typer.echo(f"plot: {file}", err=True)
    typer.echo(json.dumps(figures))


@app.command()
def ingest(
    data: Annotated[
        Path | None, typer.Option(help="The folder of the evaluation data; not given: a corpus is generated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw plots (PNG) into this folder.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often everything is done from nothing.")] = 3,
) -> None:
    """Ingest files from nothing and after small changes, beside the bare embedder and LlamaIndex's pipelines.

    Takes minutes; works in a temporary folder. The last line is JSON.
    """
    if out:
        plots.check(out)
    figures = ingest_bench.run(_settings(), data, rounds=rounds)
    if out:
        cold = {unit: {name: row[unit] for name, row in figures["cold"].items()} for unit in _SECONDS}
        warm = {unit: {name: row[unit] for name, row in figures["warm"].items()} for unit in _SECONDS}
        plots.bars(out / "ingest_cold.png", "Ingestion from nothing, seconds", cold, list(figures["cold"]))
        plots.bars(out / "ingest_warm.png", "Ingestion again after a change, seconds", warm, list(figures["warm"]))
    show("Ingestion", figures)


@app.command()
def cache(  # noqa: PLR0913 - the command's options
    pairs: Annotated[
        Path | None,
        typer.Option(help='Pairs of questions, one JSON object a line: {"a", "b", "same"}, maybe "kind".'),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of the evaluation data: questions over documents, and banking77.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw plots (PNG) into this folder.")] = None,
    stock: Annotated[bool, typer.Option(help="Measure stock GPTCache as well; needs faiss-cpu.")] = True,
    seed: Annotated[int, typer.Option(help="Of the generated pairs; the default was held out.")] = cache_bench.SEED,
    per_kind: Annotated[
        int, typer.Option(min=1, max=10_000, help="Generated pairs of each kind.")
    ] = cache_bench.PER_KIND,
    least_cosine: Annotated[
        float | None, typer.Option(min=0, max=1, help="Look at candidates that are so similar; not given: the cache's.")
    ] = None,
) -> None:
    """Ask the answer cache rephrased and changed questions, beside stock GPTCache: hit rate and wrong hits.

    Of each pair, "a" is kept alone and "b" is asked: a hit is right where "same" is true. With --data, rephrasings and
    hard negatives are generated from the sets' questions, and every question of a set is asked of all others. Both
    caches are the real ones over the same embeddings; stock GPTCache (SQLite + faiss) at its default threshold .8 and
    at the threshold that gives our hit rate. Takes some minutes with all of the data. The last line is JSON: "ours" and
    "stock" of the pairs (of the generated ones where no file is given), then the details of everything asked.
    """
    if out:
        plots.check(out)
    options = cache_bench.Options(pairs, data, seed, per_kind, least_cosine, stock)
    measured = cache_bench.run(options, _settings(), Console(stderr=True))
    console = Console()
    cache_aims.tables(measured.figures, console if console.is_terminal else Console(width=TABLE_WIDTH))
    for file in cache_bench.draw(measured, out) if out else ():
        typer.echo(f"plot: {file}", err=True)
    typer.echo(json.dumps(measured.figures))


@app.command()
def scale(
    sizes: Annotated[list[int] | None, typer.Option(min=20, help="Chunks to grow to; may be given again.")] = None,
    queries: Annotated[int, typer.Option(min=1, max=10_000, help="Queries of each kind at each size.")] = 100,
) -> None:
    """Grow the embedded store to 10,000, 30,000 and 100,000 synthetic chunks: time of a query, memory, threads.

    Needs no data and no model. The last line is JSON.
    """
    show("The embedded store as it grows", scale_bench.run(sorted(sizes or scale_bench.SIZES), queries=queries))


@app.command("cache-speed")
def cache_speed_(
    entries: Annotated[int, typer.Option(min=1, help="Answers that are kept.")] = cache_speed.ENTRIES,
    data: Annotated[Path | None, typer.Option(help="Documents they rest on; not given: a few are generated.")] = None,
    asked: Annotated[int, typer.Option(min=1, max=1_000, help="Questions of each kind.")] = cache_speed.ASKED,
) -> None:
    """Time hits, near questions and misses of the answer cache among many kept answers, beside the bare embedding.

    Then 64 threads ask at once. Works in a temporary folder: 10,000 answers take two minutes. The last line is JSON.
    """
    with TemporaryDirectory() as folder:
        settings = _settings(data_dir=Path(folder))
        figures = cache_speed.run(settings, entries=entries, data=data, asked=asked, console=Console(stderr=True))
    show("The answer cache's speed", figures)


@app.command("cache-replay")
def cache_replay_(
    data: Annotated[Path, typer.Option(help="The folder lihua_world of the evaluation data.")],
    questions: Annotated[int, typer.Option(min=1, help="How many are replayed.")] = cache_replay.QUESTIONS,
    misses: Annotated[int, typer.Option(min=0, help="How many others are asked with and without cache.")] = (
        cache_replay.MISSES
    ),
) -> None:
    """Replay questions through the whole graph, eight times rephrased and eight times as they are: calls saved.

    Then the same questions with and without cache in turn, the engine's speeds set: what a miss costs. Uses the
    embedded engine and a temporary folder. Takes minutes. The last line is JSON.
    """
    with TemporaryDirectory() as folder:
        settings = _settings(data_dir=Path(folder))
        console = Console(stderr=True)
        figures = cache_replay.run(settings, data, questions=questions, misses=misses, console=console)
    show("Questions that come again", figures)


@app.command()
def tokens(  # noqa: PLR0913 - the command's options
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data, or its folder lihua_world.")],
    questions: Annotated[int, typer.Option(min=1, help="How many; half of them compound.")] = tokens_bench.QUESTIONS,
    out: Annotated[Path | None, typer.Option(help="Draw plots (PNG) into this folder.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again. Not given: all.")] = None,
    prefill: Annotated[float, typer.Option(min=1, help="The engine's prefill tokens/s.")] = tokens_bench.PREFILL,
    decode: Annotated[float, typer.Option(min=1, help="The engine's decode tokens/s.")] = tokens_bench.DECODE,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Questions worked on at once; not given: 6, or 1 at speeds from 1e6 on."),
    ] = None,
) -> None:
    """Count the tokens, calls and seconds of a question: stock langgraph-supervisor, ours, ours with a saving off.

    The arms: (a) langgraph-supervisor as its README teaches it, five tool-using agents, last_message; (a2) the same
    with full_history; (b) the same with hand-offs that really run side by side; (a) and (a2) again with the fewest
    calls that the library allows; (c) ours with a model that chooses each step; (d) ours; (e) ours with each saving
    switched off. All get the same questions, documents, search, engine and prefix cache; nothing is kept between
    questions. "calls on path" followed each other; "uncached" prompt tokens were not in the prefix cache; "gold
    evidence" is the share of answers that cite a right record; "more" is what a question costs more without the
    saving.

    The index is kept under DOCMIND_DATA_DIR. Takes about ten minutes, for the seconds are run at the stated speeds;
    with --prefill 1e9 --decode 1e9 it takes less and the totals are the same. The uncached tokens of a question depend
    on what was asked before and at the same time: at such speeds questions follow each other, and each run counts the
    same. The last line is JSON: "reduction" is what ours saves, the smaller of both kinds of questions, then kind by
    kind; "reduction_lean" beside the fewest calls.
    """
    if out:
        plots.check(out)
    options = tokens_bench.Options(data, questions, tokens_arms.chosen(arm or ()), prefill, decode, at_once)
    figures = tokens_bench.run(options, _settings(), Console(stderr=True))
    console = Console()
    tokens_report.tables(figures, console if console.is_terminal else Console(width=TABLE_WIDTH))
    for file in tokens_report.draw(figures, out) if out else ():
        typer.echo(f"plot: {file}", err=True)
    typer.echo(json.dumps(figures))


def _settings(**given: Any) -> Settings:
    settings = load_settings(**given)
    set_up_logging(settings)
    return settings


def main() -> None:
    """Run the command; what DocMind raises on purpose becomes one line and exit code 2."""
    try:
        app()
    except DocMindError as error:
        typer.echo(f"docmind: {error}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
