"""Small files of every format, made by hand or by the libraries that read them."""

import io
import os
import zipfile
from pathlib import Path

import docx
from pypdf import PdfReader, PdfWriter


def write(path: Path, text: str, *, age: int = 60) -> None:
    """Write a file that was last changed ``age`` seconds after a moment long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(0, 10**18 + age * 10**9))


def pdf_bytes(pages: list[str], *, title: str = "") -> bytes:
    """A PDF whose pages hold these lines; no word of ``pages`` may have brackets."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        shown = " ".join(f"({line}) Tj T*" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 14 TL 50 700 Td {shown} ET" if page else ""
        resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 600 800]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {resources} /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    body = io.BytesIO(b"")
    body.write(b"%PDF-1.4\n")
    places: list[int] = []
    for number, text in enumerate(objects, start=1):
        places.append(body.tell())
        body.write(f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1"))
    start = body.tell()
    body.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    body.write("".join(f"{place:010} 00000 n \n" for place in places).encode())
    body.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n".encode())
    body.write(f"startxref\n{start}\n%%EOF\n".encode())
    return body.getvalue()


def encrypted_pdf(pages: list[str], password: str) -> bytes:
    """The same, locked."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf_bytes(pages))))
    writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def write_docx(path: Path) -> None:
    """A Word document with a title, two headings, a list and a table."""
    document = docx.Document()
    document.core_properties.title = "Prices"
    document.add_heading("Price list", 0)
    document.add_heading("Fruit", 1)
    document.add_paragraph("Fruit is cheap.")
    document.add_paragraph("Apples", style="List Bullet")
    document.add_paragraph("Pears", style="List Bullet")
    document.add_paragraph("  ")
    document.add_heading("Tools", 1)
    table = document.add_table(rows=3, cols=2)
    for row, cells in zip(table.rows, [("tool", "price"), ("saw", "12"), ("", "")], strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.add_paragraph("All prices in euro.")
    document.save(str(path))


def zip_bomb(path: Path, unpacked_bytes: int) -> None:
    """A file with a Word document's name that unpacks to many zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * unpacked_bytes)
