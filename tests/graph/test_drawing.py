"""The README shows the graph that runs."""

from pathlib import Path

from graph.drawing import drawing
from graph.policy import AGENTS

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_graph_that_runs() -> None:
    shown = README.read_text(encoding="utf-8").split("<!-- graph: begin -->\n")[1].split("\n<!-- graph: end -->")[0]
    assert shown == drawing(), "write it anew with: python -m graph.drawing"


def test_the_drawing_shows_supervisor_agents_and_compress() -> None:
    assert all(f"    {name}({name})" in drawing() for name in ("supervisor", "compress", *AGENTS))
