"""Memory while large files with little text in them are ingested by the command, with its embedding model and helper.

Measured over 521 MB of files with 20 MB of text (``write_large(folder, 500, 20, rounds=2)``, 39,984 windows) and with
MiniLM, peaks of process and helper: 651 + 271 MB when 29,587 windows were embedded. It had levelled off: of its own the
process held 447 MB at 8,571 windows stored, 462 at 14,278, 476 at 19,992 and 489 at 28,563.
"""

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import docx
import pptx
import pytest
from pptx.util import Inches

from tests.tools.samples import epub_bytes

ROOT = Path(__file__).parents[2]
WORDS = """
the of and in to was is for on as with by he at from his that it an were are which this also be had or has first their
after its new but who not they have her she two been other when there all during into school time may years more most
only over city some world would where later up such used many can state about national out known university united then
""".split()  # noqa: SIM905 - one word piece each
LIMIT_MEGABYTES = 1_500


def prose(chance: random.Random, size: int) -> list[str]:
    """Paragraphs of about ``size`` bytes altogether."""
    count = max(1, size // 500)
    return [" ".join(chance.choices(WORDS, k=110)).capitalize() + "." for _ in range(count)]


def picture(chance: random.Random, size: int) -> io.BytesIO:
    """A PNG of about ``size`` bytes that nobody could draw."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", chance.randbytes(size)) + chunk(b"IEND", b""))


def pdf_of(chance: random.Random, size: int, text: int) -> bytes:
    """A PDF of ten pages, each with lines of text under a picture."""
    body = io.BytesIO(b"%PDF-1.4\n")
    body.seek(0, io.SEEK_END)
    kids = " ".join(f"{4 + 3 * page} 0 R" for page in range(10))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count 10 >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(10):
        lines = " ".join(f"({line}) Tj T*" for line in prose(chance, text // 10))
        stream = f"/I Do BT /F 9 Tf 12 TL 50 700 Td {lines} ET".encode()
        image = chance.randbytes(size // 10)
        named = f"/Font << /F 3 0 R >> /XObject << /I {6 + 3 * page} 0 R >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /Resources << {named} >> /Contents {5 + 3 * page} 0 R "
            "/MediaBox [0 0 600 800] >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        kind = b"/Type /XObject /Subtype /Image /Width 9 /Height 9 /ColorSpace /DeviceGray /BitsPerComponent 8"
        objects.append(b"<< %s /Length %d >>\nstream\n%s\nendstream" % (kind, len(image), image))
    places: list[int] = []
    for number, data in enumerate(objects, start=1):
        places.append(body.tell())
        body.write(b"%d 0 obj\n%s\nendobj\n" % (number, data))
    start = body.tell()
    body.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    body.write("".join(f"{place:010} 00000 n \n" for place in places).encode())
    body.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())
    return body.getvalue()


def docx_of(chance: random.Random, size: int, text: int) -> bytes:
    document = docx.Document()
    for paragraph in prose(chance, text):
        document.add_paragraph(paragraph)
    document.add_picture(picture(chance, size))
    return _saved(document.save)


def pptx_of(chance: random.Random, size: int, text: int) -> bytes:
    deck = pptx.Presentation()
    for paragraph in prose(chance, text):
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        slide.shapes.add_textbox(Inches(1), Inches(1), Inches(5), Inches(5)).text_frame.text = paragraph
    deck.slides[0].shapes.add_picture(picture(chance, size), Inches(1), Inches(1))
    return _saved(deck.save)


def epub_of(chance: random.Random, size: int, text: int) -> bytes:
    chapters = [f"<h1>Part</h1><p>{paragraph}</p>" for paragraph in prose(chance, text)]
    return epub_bytes(chapters, more={"OEBPS/cover.png": picture(chance, size).getvalue()})


def html_of(chance: random.Random, size: int, text: int) -> bytes:
    """Half of it one picture inside the page, half of it markup."""
    paragraphs = prose(chance, text)
    empty = '<div class="a b c" data-x="1"><span></span></div>'
    filler = empty * (size // 2 // len(paragraphs) // len(empty))
    image = f'<img src="data:image/png;base64,{chance.randbytes(size // 4).hex()}">'
    return "".join([image, *(f"<p>{paragraph}</p>{filler}" for paragraph in paragraphs)]).encode()


def text_of(chance: random.Random, size: int, text: int) -> bytes:
    return "\n\n".join(prose(chance, text)).encode()


def csv_of(chance: random.Random, size: int, text: int) -> bytes:
    return b"name,note,price\n" + "\n".join(line.replace(" ", ",", 2) for line in prose(chance, text)).encode()


def video_of(chance: random.Random, size: int, text: int) -> bytes:
    return b"\0\0\0\x18ftypmp42" + chance.randbytes(size)


KINDS: dict[str, Callable[[random.Random, int, int], bytes]] = {
    "pdf": pdf_of,
    "docx": docx_of,
    "pptx": pptx_of,
    "epub": epub_of,
    "html": html_of,
    "txt": text_of,
    "csv": csv_of,
    "mp4": video_of,
}


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    body = io.BytesIO()
    save(body)
    return body.getvalue()


def write_large(folder: Path, megabytes: float, text_megabytes: float, rounds: int) -> None:
    """Write ``rounds`` files of each kind; all but text and tables share ``megabytes``, all but videos the text."""
    heavy = int(megabytes * 1e6 / rounds / (len(KINDS) - 2))
    text = int(text_megabytes * 1e6 / rounds / (len(KINDS) - 1))
    for number in range(rounds):
        for suffix, make in KINDS.items():
            (folder / f"{number}.{suffix}").write_bytes(make(random.Random(f"{number}{suffix}"), heavy, text))


def peak_megabytes(folder: Path, data: Path) -> tuple[float, dict[str, object]]:
    """Ingest ``folder`` by the command: the peaks of its process and of its largest helper, added; and its report."""
    peaks: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "tools.ingest", str(folder), "--json"],
        cwd=ROOT,
        env={**os.environ, "DOCMIND_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            for pid in (str(process.pid), *_children(process.pid)):
                peaks[pid] = max(peaks.get(pid, 0.0), _high_water(pid))
            time.sleep(0.05)
        report: dict[str, object] = json.loads(process.stdout.read() if process.stdout else b"{}")
    own = peaks.pop(str(process.pid))
    return own + max(peaks.values()), report


def _children(pid: int) -> list[str]:
    """The processes that any of its threads started."""
    try:
        return [
            child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def _high_water(pid: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1_000 for line in lines if line.startswith("VmHWM")), 0.0)


@pytest.mark.prove
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_memory_stays_bounded_while_large_files_are_ingested(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    write_large(folder, megabytes=60, text_megabytes=0.2, rounds=1)
    peak, report = peak_megabytes(folder, tmp_path / "data")
    assert report["added"] == len(KINDS) - 1
    assert report["failed"] == [{"path": str(folder / "0.mp4"), "error": "it is a binary file, not text"}]
    assert peak < LIMIT_MEGABYTES
