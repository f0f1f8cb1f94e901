"""Workbooks (xlsx, xls, ods): each sheet under its name, each row on its line, the columns' names with every row.

A cell shows its value as it is stored: numbers with the 15 digits a spreadsheet has, days as year-month-day, formulas
as their last result. calamine holds one sheet at a time, as a full rectangle: one too wide for the helper's memory ends
the helper, and is reported.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from python_calamine import CalamineWorkbook, PasswordError, SheetTypeEnum

from infra.errors import DocumentError
from tools.extracted import Extracted, clean, column_names
from tools.readers.outline import Outline
from tools.readers.source import Source

WHOLE = 1e16
"""Whole numbers below this one are written out, as numbers of parcels and accounts are."""


def read_sheets(source: Source) -> Extracted:
    """Read a workbook; a row of one cell above the first wider row is text, and that row names the columns.

    Raises:
        DocumentError: it is encrypted.
    """
    try:
        return _read(source)
    except PasswordError as error:
        raise DocumentError("the workbook is encrypted: save it without a password") from error


def _read(source: Source) -> Extracted:
    outline = Outline()
    with source.path.open("rb") as file, CalamineWorkbook.from_filelike(file) as workbook:
        for sheet in workbook.sheets_metadata:
            if sheet.typ == SheetTypeEnum.WorkSheet:
                outline.under(1, _cell(sheet.name))
                _add_sheet(outline, workbook.get_sheet_by_name(sheet.name).iter_rows())
    return outline.extracted("", source.name)


def _add_sheet(outline: Outline, rows: Iterable[list[Any]]) -> None:
    lines: list[str] = []
    columns: tuple[str, ...] = ()
    for row in rows:
        cells = _cells(row)
        if len(cells) > 1 or columns or lines:
            if not columns and not lines:
                columns = column_names(cells)
            if cells:
                lines.append(" | ".join(cells))
        elif cells:
            outline.block(cells[0])
    if lines:
        outline.table(lines, columns if len(lines) > 1 else ())


def _cells(row: list[Any]) -> list[str]:
    """The cells of a row up to the last that holds anything."""
    if row.count("") == len(row):
        # a sheet with one cell far out is mostly such rows
        return []
    cells = [_cell(value) for value in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a cell can hold
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < WHOLE else f"{value:.15g}"
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | datetime | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return " ".join(clean(str(value)).split())
