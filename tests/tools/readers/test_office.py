"""Word, PowerPoint and workbooks: headings, slides and sheets; what is refused and why."""

import zipfile
from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.files import write_docx
from tests.tools.samples import (
    ods_bytes,
    ole_bytes,
    read_as,
    row,
    stretches,
    write_pptx,
    xls_bytes,
    xlsx_bytes,
    zipped,
)

BOMB = '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 20}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_word_documents_keep_headings_lists_and_tables(tmp_path: Path) -> None:
    write_docx(tmp_path / "a.docx")
    extracted = read_as(tmp_path, "a.docx", (tmp_path / "a.docx").read_bytes())
    assert extracted.title == "Prices"
    assert stretches(extracted) == [
        (("Price list", "Fruit"), "Price list\n\nFruit\n\nFruit is cheap.\n\n- Apples\n- Pears"),
        (("Price list", "Tools"), "Tools"),
        (("Price list", "Tools"), "tool | price\nsaw | 12"),
        (("Price list", "Tools"), "All prices in euro."),
    ]
    assert extracted.sections[2].columns == ("tool", "price")


def word_bytes(folder: Path, body: str, notes: str = "") -> bytes:
    """A Word document with this body, and footnotes."""
    write_docx(folder / "made.docx")
    names = (
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    with zipfile.ZipFile(folder / "made.docx") as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    members["word/document.xml"] = f"<w:document {names}><w:body>{body}</w:body></w:document>"
    if notes:
        members["word/footnotes.xml"] = f"<w:footnotes {names}>{notes}</w:footnotes>"
        relation = (
            '<Relationship Id="rId99" Target="footnotes.xml" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"/></Relationships>'
        )
        related = members["word/_rels/document.xml.rels"]
        assert isinstance(related, bytes)
        members["word/_rels/document.xml.rels"] = related.decode().replace("</Relationships>", relation)
    return zipped(members)


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_nothing_a_reader_of_a_word_document_sees_is_lost(tmp_path: Path) -> None:
    box = f"<w:txbxContent>{paragraph('In a box.')}</w:txbxContent>"
    body = (
        "<w:p><w:r><w:t>We </w:t></w:r><w:del><w:r><w:delText>never </w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>not </w:t></w:r></w:moveFrom><w:ins><w:r><w:t>always </w:t></w:r></w:ins>"
        "<w:hyperlink><w:r><w:t>pay</w:t><w:tab/>"
        "<w:t>.</w:t></w:r></w:hyperlink></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('In a control.')}</w:sdtContent></w:sdt>"
        f"<w:p><w:r><w:t>Around.</w:t><mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback>"
        "</mc:AlternateContent></w:r></w:p>"
    )
    notes = f'<w:footnote w:id="1">{paragraph("See page 9.")}</w:footnote>'
    extracted = read_as(tmp_path, "a.docx", word_bytes(tmp_path, body, notes))
    assert stretches(extracted) == [
        ((), "We always pay .\n\nIn a control.\n\nAround.\n\nIn a box."),
        (("Footnotes",), "See page 9."),
    ]


def test_cells_of_word_tables_may_be_merged_hold_tables_and_lie(tmp_path: Path) -> None:
    def cell(words: str, *properties: str) -> str:
        return f"<w:tc><w:tcPr>{''.join(properties)}</w:tcPr>{words}</w:tc>"

    wide, begins, goes_on = '<w:gridSpan w:val="999999999"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    inner = f"<w:tbl><w:tr>{cell(paragraph('in'))}</w:tr></w:tbl>"
    rows = (
        (cell(paragraph("tool")), cell(paragraph("price")), cell(paragraph("x"), goes_on)),
        (cell(paragraph("saw"), begins), cell(paragraph("12"), wide), cell(inner + paragraph("side"))),
        (cell(paragraph(""), goes_on), cell(paragraph("13"))),
    )
    table = "".join(f"<w:tr>{''.join(cells)}</w:tr>" for cells in rows)
    extracted = read_as(tmp_path, "a.docx", word_bytes(tmp_path, f"<w:tbl>{table}</w:tbl>"))
    assert extracted.text == "tool | price | \nsaw | 12 | in side\nsaw | 13"


def test_long_numbers_of_a_workbook_are_written_out(tmp_path: Path) -> None:
    cells = row(1, "account", "n") + row(2, 1234567890123456, 0.1) + row(3, 1e20, -3.0)
    text = read_as(tmp_path, "a.xlsx", xlsx_bytes({"S": cells})).text
    assert text == "account | n\n1234567890123456 | 0.1\n1e+20 | -3"


def test_a_slide_is_a_page_with_its_lists_tables_groups_and_notes(tmp_path: Path) -> None:
    write_pptx(tmp_path / "a.pptx")
    extracted = read_as(tmp_path, "a.pptx", (tmp_path / "a.pptx").read_bytes())
    assert extracted.title == "Prices"
    assert [(section.kind, section.page) for section in extracted.sections] == [("slide", n) for n in (1, 2, 2, 2)]
    assert stretches(extracted) == [
        (("Fruit",), "Fruit\n\n- Apples\n- Pears\n\nSay that fruit is cheap."),
        (("Tools",), "Tools"),
        (("Tools",), "tool | price\nsaw | 12"),
        (("Tools",), "In a group."),
    ]
    assert extracted.sections[2].columns == ("tool", "price")


def test_every_sheet_stands_under_its_name_and_every_row_knows_the_columns(tmp_path: Path) -> None:
    tools = (
        row(1, "All prices in euro")
        + row(3, "tool", "price", "since")
        + row(4, "saw", 12.5, "May")
        + row(5, "nail", 0.1)
    )
    day = '<row r="7"><c r="A7" s="1"><v>45000</v></c><c r="B7" t="b"><v>1</v></c></row>'
    data = xlsx_bytes({"Prices": tools, "Empty": "", "Days": row(6, "day", "open") + day})
    extracted = read_as(tmp_path, "a.xlsx", data)
    assert stretches(extracted) == [
        (("Prices",), "All prices in euro"),
        (("Prices",), "tool | price | since\nsaw | 12.5 | May\nnail | 0.1"),
        (("Days",), "day | open\n2023-03-15 | TRUE"),
    ]
    table = extracted.sections[1]
    assert table.columns == ("tool", "price", "since")
    assert [extracted.text[start:end] for start, end in table.units][1:] == ["saw | 12.5 | May", "nail | 0.1"]


def test_old_and_open_workbooks_are_read_alike(tmp_path: Path) -> None:
    expected = [(("Prices",), "tool | price\nsaw | 12.5")]
    assert stretches(read_as(tmp_path, "a.xls", xls_bytes([["tool", "price"], ["saw", 12.5]]))) == expected
    assert stretches(read_as(tmp_path, "a.ods", ods_bytes([["tool", "price"], ["saw", "12.5"]]))) == expected


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "epub"])
def test_what_is_no_archive_is_broken(tmp_path: Path, suffix: str) -> None:
    for data in (b"no zip", b"", zipped({"a": "b"})):
        with pytest.raises(DocumentError, match="is broken: "):
            read_as(tmp_path, f"a.{suffix}", data)


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "xls", "doc"])
def test_encrypted_and_old_office_files_are_told_apart(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DocumentError, match="is encrypted: save it without a password"):
        read_as(tmp_path, f"a.{suffix}", ole_bytes("EncryptedPackage", b"x"))
    with pytest.raises(DocumentError, match=r"it is an old Office file \(.doc"):
        read_as(tmp_path, f"a.{suffix}", ole_bytes("WordDocument", b"x"))


def test_entities_that_multiply_are_not_followed(tmp_path: Path) -> None:
    write_docx(tmp_path / "a.docx")
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f'{BOMB}]><w:document xmlns:w="{main}"><w:body><w:p><w:r><w:t>&i;end</w:t></w:r></w:p></w:body></w:document>'
    data = _with(tmp_path / "a.docx", "word/document.xml", body)
    with pytest.raises(DocumentError, match="the DOCX is broken: Maximum entity amplification factor exceeded"):
        read_as(tmp_path, "b.docx", data)


def _with(path: Path, name: str, content: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return zipped({item: archive.read(item) for item in archive.namelist()} | {name: content})
