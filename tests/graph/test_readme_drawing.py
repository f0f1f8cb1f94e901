"""The README's drawing is the graph's own."""

from pathlib import Path

from graph.drawing import drawing

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- graph: begin -->\n", "\n<!-- graph: end -->"


def test_the_drawing_in_the_readme_is_the_compiled_graphs():
    shown = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == drawing(), "put what `python -m graph.drawing` prints between the README's two markers"
