"""One good file of every format, made by hand or by the libraries that read them."""

import email.message
import io
import json
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pptx
from pptx.util import Inches

from tests.tools.files import pdf_bytes, write_docx
from tools.extracted import Extracted, clean, from_json, to_json
from tools.readers.kinds import SNIFFED_BYTES, kind_of, read
from tools.readers.source import Source

MAX_BYTES = 10_000_000

MARKDOWN = "# Caches\n\nA cache keeps what was read.\n\n## Kinds\n\nExact and semantic ones.\n\n```\n# code\n```\n"
RST = "======\nCaches\n======\n\nA cache keeps what was read.\n\nKinds\n-----\n\n.. note:: Exact ones.\n\n  x\n"
PYTHON = (
    "import os\n\nLIMIT = 9\n\n\n# Keeps things.\n@final\nclass Cache:\n    size = 1\n\n    def get(self, key):\n"
    "        def inner():\n            return 1\n        return inner()\n\n\ndef main():\n    return Cache()\n"
)


def read_as(folder: Path, name: str, data: str | bytes, max_bytes: int = MAX_BYTES) -> Extracted:
    """Write a file and read it as what it is found to be."""
    path = folder / name
    whole = data.encode() if isinstance(data, str) else data
    path.write_bytes(whole)
    return read(kind_of(path, whole[:SNIFFED_BYTES]), Source(path, max_bytes))


def stretches(extracted: Extracted) -> list[tuple[tuple[str, ...], str]]:
    """Headings and text of each section."""
    return [(section.headings, extracted.text[section.start : section.end]) for section in extracted.sections]


def assert_well_divided(extracted: Extracted) -> None:
    """Check that sections stand in order within the text, units within their section, and the text is clean."""
    last = 0
    for section in extracted.sections:
        assert last <= section.start <= section.end <= len(extracted.text)
        last = section.start
        for start, end in section.units:
            assert last <= start < end <= section.end
            last = end
        last = section.end
    assert extracted.text.strip()
    assert clean(extracted.text) == extracted.text
    assert from_json(json.loads(json.dumps(to_json(extracted)))) == extracted


def zipped(members: dict[str, str | bytes]) -> bytes:
    """An archive with these members."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return body.getvalue()


def xlsx_bytes(sheets: dict[str, str]) -> bytes:
    """A workbook of sheets whose rows are given as ``sheetData`` XML."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbers = range(1, len(sheets) + 1)
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, start=1))
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{rel}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    related += f'<Relationship Id="rId99" Type="{rel}/styles" Target="styles.xml"/>'
    formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{formats}</styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), start=1):
        members[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return zipped(members)


def row(number: int, *cells: str | float) -> str:
    """A row of a workbook; a number n stands as it is, a string as text."""
    written = "".join(
        f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
        if isinstance(cell, str)
        else f'<c r="{chr(65 + at)}{number}"><v>{cell}</v></c>'
        for at, cell in enumerate(cells)
        if cell != ""
    )
    return f'<row r="{number}">{written}</row>'


def ods_bytes(rows: list[list[str]]) -> bytes:
    """An OpenDocument workbook of one sheet, called Prices."""
    names = "urn:oasis:names:tc:opendocument:xmlns"
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in line
        )
        + "</table:table-row>"
        for line in rows
    )
    content = (
        f'<office:document-content xmlns:office="{names}:office:1.0" xmlns:table="{names}:table:1.0" '
        f'xmlns:text="{names}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Prices">{cells}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = f'<m:manifest xmlns:m="{names}:manifest:1.0"/>'
    return zipped({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest})


def ole_bytes(name: str, stream: bytes) -> bytes:
    """An old Office file ([MS-CFB], version 3) with one stream of at most 60 KB."""
    stream = stream.ljust(max(4096, -(-len(stream) // 512) * 512), b"\0")
    sectors = len(stream) // 512
    end, free, table = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, end, 0, end, 0, 0)
    header = header.ljust(512, b"\xff")
    chain = [table, end, *range(3, 2 + sectors), end]
    fat = struct.pack("<128I", *chain, *[free] * (128 - len(chain)))
    entries = _ole_entry("Root Entry", 5, 1, end, 0) + _ole_entry(name, 2, free, 2, len(stream))
    return header + fat + entries.ljust(512, b"\0") + stream


def _ole_entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    label = name.encode("utf-16-le") + b"\0\0"
    none = 0xFFFFFFFF
    tree = struct.pack("<HBBIII", len(label), kind, 1, none, none, child)
    return label.ljust(64, b"\0") + tree + bytes(36) + struct.pack("<IQ", start, size)


def xls_bytes(rows: list[list[str | float]]) -> bytes:
    """An old Excel workbook (BIFF8) of one sheet, called Prices."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 0, 0, 0x0600))

    cells = b""
    for y, line in enumerate(rows):
        for x, cell in enumerate(line):
            at = struct.pack("<HHH", y, x, 0)
            if isinstance(cell, str):
                cells += record(0x0204, at + struct.pack("<HB", len(cell), 0) + cell.encode("latin-1"))
            else:
                cells += record(0x0203, at + struct.pack("<d", cell))
    sheet = begin(0x0010) + cells + record(0x000A, b"")
    label = b"Prices"
    start = len(begin(0x0005)) + 4 + 8 + len(label) + 4
    listed = record(0x0085, struct.pack("<IBBBB", start, 0, 0, len(label), 0) + label)
    return ole_bytes("Workbook", begin(0x0005) + listed + record(0x000A, b"") + sheet)


def write_pptx(path: Path) -> None:
    """A presentation of two slides: a list with notes, and a table beside a group."""
    deck: Any = pptx.Presentation()
    deck.core_properties.title = "Prices"
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Fruit"
    first.placeholders[1].text = "Apples\nPears"
    first.notes_slide.notes_text_frame.text = "Say that fruit is cheap."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Tools"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for cell, text in zip(table.iter_cells(), ("tool", "price", "saw", "12"), strict=True):
        cell.text = text
    box = second.shapes.add_group_shape().shapes.add_textbox(Inches(1), Inches(3), Inches(1), Inches(1))
    box.text_frame.text = "In a group."
    deck.save(str(path))


def epub_bytes(chapters: list[str], *, more: dict[str, str | bytes] | None = None) -> bytes:
    """A book called Tales with these chapters' XHTML."""
    items = "".join(
        f'<item id="c{n}" href="c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>Tales</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OEBPS/book.opf": package,
            **{f"OEBPS/c {number}.xhtml": text for number, text in enumerate(chapters)},
            **(more or {}),
        }
    )


def notebook_bytes() -> bytes:
    """A notebook with prose, code that prints, and code that fails."""
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["one\n", "\x1b[31mtwo\x1b[0m\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "42", "image/png": "AAAA"}, "metadata": {}},
        {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": []},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "\n", "We count.\n", "## Method\n"], "metadata": {}},
        {"cell_type": "code", "source": "a = 1\nb = 2", "outputs": outputs, "metadata": {}, "execution_count": 1},
        {"cell_type": "markdown", "source": "It works.", "metadata": {}},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).encode()


def mail_bytes(*, html: bool = False) -> bytes:
    """A message with one attachment."""
    message = email.message.EmailMessage()
    message["Subject"] = "Prices für May"
    message["From"] = "Ann Lee <ann@example.org>"
    message["To"] = "bo@example.org, Cy <cy@example.org>"
    message["Date"] = datetime(2026, 5, 6, 12, 30, tzinfo=UTC)
    if html:
        message.set_content("<h1>List</h1><p>Saws cost 12.</p><script>x</script>", subtype="html")
    else:
        message.set_content("Saws cost 12.\n\nHammers cost 7.\n")
        message.add_alternative("<p>Never read.</p>", subtype="html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="prices.pdf")
    return message.as_bytes()


def every_format(folder: Path) -> dict[str, bytes]:
    """A good file's bytes by suffix; ``folder`` is used to write in."""
    write_docx(folder / "sample.docx")
    write_pptx(folder / "sample.pptx")
    table = "name,price\nsaw,12\nhammer,7\n"
    return {
        ".txt": "On caches\n\nA cache keeps what was read. It drops größere things.\n".encode(),
        ".md": MARKDOWN.encode(),
        ".rst": RST.encode(),
        ".html": b"<html><title>T</title><h1>Caches</h1><p>A cache <b>keeps</b> things.<table><tr><td>a<td>b</table>",
        ".pdf": pdf_bytes(["First page.", "Second page."], title="Report"),
        ".docx": (folder / "sample.docx").read_bytes(),
        ".pptx": (folder / "sample.pptx").read_bytes(),
        ".xlsx": xlsx_bytes({"Prices": row(1, "tool", "price") + row(2, "saw", 12.5)}),
        ".xls": xls_bytes([["tool", "price"], ["saw", 12.5]]),
        ".ods": ods_bytes([["tool", "price"], ["saw", "12"]]),
        ".csv": table.encode(),
        ".tsv": table.replace(",", "\t").encode("utf-16"),
        ".epub": epub_bytes(["<h1>One</h1><p>Once upon a time.</p>", "<h1>Two</h1><p>The end.</p>"]),
        ".ipynb": notebook_bytes(),
        ".json": json.dumps({"name": "shop", "tools": [{"tool": "saw", "price": {"euro": 12.5}}]}).encode(),
        ".jsonl": b'{"tool": "saw", "price": 12}\n{"tool": "hammer", "price": 7}\n',
        ".eml": mail_bytes(),
        ".py": PYTHON.encode(),
        ".js": b"// Adds.\nexport function add(a, b) { return a + b }\nconst twice = (x) => add(x, x)\n",
        ".ts": b"export class Shop {\n  open(): void {}\n}\ninterface Tool { price: number }\n",
        ".java": b"class Shop {\n  /** Opens. */\n  void open() { }\n}\n",
        ".go": b"package shop\n\ntype Shop struct{}\n\nfunc (s *Shop) Open() {}\n",
        ".rs": b"struct Shop;\nimpl Shop {\n    fn open(&self) {}\n}\n",
        ".c": b"#ifndef A\nstatic int *add(int a, int b)\n{ return 0; }\n#endif\n",
        ".cpp": b"namespace shop {\nclass Tool { int price() { return 1; } };\n}\n",
        ".yaml": b"tools:\n  - saw\n  - hammer\n",
    }
