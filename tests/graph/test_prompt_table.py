"""The table of prompts is true, and no prompt is missing from it."""

from pathlib import Path

from graph.prompt_table import rows, table

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- prompts: begin -->\n", "\n<!-- prompts: end -->"
SHARED = "system"


def test_the_table_on_the_page_is_what_the_prompts_are() -> None:
    page = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), "put what `python -m graph.prompt_table` prints between the page's two markers"


def test_every_prompt_file_has_a_row() -> None:
    files = {path.stem for floor in ("agents", "graph", "tools") for path in (ROOT / floor).glob("prompts/*.md")}
    assert {row.prompt for row in rows()} == files - {SHARED}
