"""PDF: the text of each page in reading order as pypdf gives it, one section a page."""

import pypdf

from infra.errors import DocumentError
from tools.context import find_date
from tools.extracted import Extracted, Section, Writer, clean
from tools.readers.source import Source


def read_pdf(source: Source) -> Extracted:
    """Read a PDF; a page without text is passed over.

    Raises:
        DocumentError: it is locked by a password, or has no text.
    """
    writer = Writer()
    sections: list[Section] = []
    # an open file, not its name: pypdf would load the whole of a named one
    with source.path.open("rb") as file:
        reader = pypdf.PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("the PDF is encrypted: save it without a password")
        for number, page in enumerate(reader.pages, start=1):
            text = clean(page.extract_text()).strip()
            if text:
                sections.append(Section(*writer.add(text), page=number))
        title = clean(str((reader.metadata and reader.metadata.title) or ""))
    if not sections:
        raise DocumentError("there is no text in the PDF (scanned pages?)")
    text = writer.text()
    return Extracted(text, " ".join(title.split()), tuple(sections), find_date(text, source.name))
