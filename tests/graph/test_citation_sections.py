"""Where a citation says its quote stands: one question to a file of each kind, from the file to the printed source."""

import json
from pathlib import Path
from typing import Any

import docx
import pptx
import pytest
from typer.testing import CliRunner

from graph.run import app, render
from tests.tools.files import pdf_bytes
from tests.tools.samples import epub_bytes, row, xlsx_bytes

CODE = (
    'class Harbour:\n    def open_gate(self):\n        """The quay gate Zeta opens at high tide."""\n        return 1\n'
)
SOURCES = {
    "report.pdf": ("When was the boiler Calor serviced?", "page 2", "The boiler Calor was serviced in May 2024."),
    "tools.xlsx": ("What does the saw Dento cost?", "Stock", "saw Dento | 12.5"),
    "talk.pptx": ("Who painted the mural Aurora?", "slide 2 > Walls", "Ines Roth painted the mural Aurora."),
    "book.epub": ("Where did the fox Renar sleep?", "The Wood", "The fox Renar slept under the oak."),
    "guide.md": ("How long does the battery Volta last?", "Radio > Power", "The battery Volta lasts nine days."),
    "letter.docx": ("Who repaired the organ Cantus?", "Repairs > May", "Otto Lind repaired the organ Cantus."),
    "page.html": ("When does the ferry Linea leave?", "Timetable", "The ferry Linea leaves at noon."),
    "study.ipynb": ("How many birds did Marta Koll count?", "Birds > cell 2", "print('Marta Koll counted 412 birds')"),
    "gate.py": ("When does the quay gate Zeta open?", "function Harbour.open_gate", '"""The quay gate Zeta opens at'),
    "plain.txt": ("Which colour has the door Porta?", "", "The door Porta is blue."),
}
"""For each file: what is asked, where its answer stands, and how the quoted words begin."""


def _write(docs: Path) -> None:
    (docs / "report.pdf").write_bytes(pdf_bytes(["The roof was mended.", SOURCES["report.pdf"][2]]))
    stock = row(1, "tool", "price") + row(2, "saw Dento", 12.5) + row(3, "nail", 0.1)
    (docs / "tools.xlsx").write_bytes(xlsx_bytes({"People": row(1, "name") + row(2, "Ann"), "Stock": stock}))
    deck: Any = pptx.Presentation()
    for title, text in (("Floors", "The floors are of oak."), ("Walls", SOURCES["talk.pptx"][2])):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    deck.save(str(docs / "talk.pptx"))
    named = f"<html><head><title>The Wood</title></head><body><p>{SOURCES['book.epub'][2]}</p></body></html>"
    (docs / "book.epub").write_bytes(epub_bytes(["<h1>Home</h1><p>It was raining.</p>", named]))
    (docs / "guide.md").write_text("# Radio\n\nIt plays.\n\n## Power\n\nThe battery Volta lasts nine days.\n")
    letter = docx.Document()
    letter.add_heading("Repairs", 1)
    letter.add_heading("May", 2)
    letter.add_paragraph("Otto Lind repaired the organ Cantus.")
    letter.save(str(docs / "letter.docx"))
    (docs / "page.html").write_text("<h1>Timetable</h1><p>The ferry Linea leaves at noon.</p>")
    cells = [
        {"cell_type": "markdown", "source": "# Birds\n\nWe count.", "metadata": {}},
        {"cell_type": "code", "source": SOURCES["study.ipynb"][2], "outputs": [], "metadata": {}},
    ]
    (docs / "study.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    (docs / "gate.py").write_text(CODE)
    (docs / "plain.txt").write_text("The door Porta is blue.\n")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, models: Path) -> dict[str, dict[str, Any]]:
    """The answer to each question, by the file that holds it."""
    made = tmp_path_factory.mktemp("sections")
    (made / "docs").mkdir()
    (made / "data").mkdir()
    (made / "data" / "models").symlink_to(models)
    _write(made / "docs")
    asked = [json.dumps({"id": name, "question": question}) for name, (question, _, _) in SOURCES.items()]
    (made / "q.jsonl").write_text("\n".join(asked))
    files = ["--questions", str(made / "q.jsonl"), "--out", str(made / "a.jsonl")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCMIND_DATA_DIR", str(made / "data"))
        done = CliRunner().invoke(app, ["--backend", "engine", "--docs", str(made / "docs"), *files])
    assert done.exit_code == 0, done.stderr
    return {answer["id"]: answer for answer in map(json.loads, (made / "a.jsonl").read_text().splitlines())}


@pytest.mark.parametrize("name", SOURCES)
def test_a_citation_says_on_which_page_or_in_which_section_its_quote_stands(
    answers: dict[str, dict[str, Any]], name: str
) -> None:
    _, section, words = SOURCES[name]
    there = {(c["doc"], c["section"]): c for c in answers[name]["citations"] if c["quote"].startswith(words)}
    assert list(there) == [(name, section)]
    [cited] = there.values()
    place = f"{name}, {section}" if section else name
    assert f'  [{cited["label"]}] {place} ({cited["start"]}-{cited["end"]}): "{words}' in render(answers[name])
