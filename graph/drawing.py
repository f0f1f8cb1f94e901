"""The drawing of the graph in the README: ``python -m graph.drawing`` prints it, a test compares.

Made from the compiled graph, so it shows what runs; the style lines that LangGraph adds are left out.
"""

import typer

from graph.app import graph


def drawing() -> str:
    """Return the graph as a Mermaid flow chart, fenced for Markdown."""
    lines = graph.get_graph().draw_mermaid().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("graph "))
    shown = [line.replace("\t", "    ") for line in lines[begin:] if line.strip() and "classDef" not in line]
    return "\n".join(["```mermaid", *(line.replace(":::first", "").replace(":::last", "") for line in shown), "```"])


if __name__ == "__main__":
    typer.echo(drawing())
