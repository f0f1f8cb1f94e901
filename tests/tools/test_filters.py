"""What a question limits itself to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.store.records import DocumentInfo
from infra.text.terms import terms
from tools import filters
from tools.filters import Limits, carries, chosen, limits_of

PATHS = ["/d/Report.pdf", "/d/old/report.pdf", "/d/plan.docx", "/d/sums.xlsx", "/d/rows.csv", "/d/notes/todo.md"]
DOCUMENTS = [DocumentInfo(str(n), path, path[3:], "", "", 1) for n, path in enumerate(PATHS)]


def looked_at(question: str) -> list[str] | None:
    return chosen(limits_of(question), DOCUMENTS)


@pytest.mark.parametrize(
    ("question", "paths"),
    [
        ("What does report.pdf say about the boiler?", ["/d/Report.pdf", "/d/old/report.pdf"]),
        ("What does old/report.pdf say?", ["/d/old/report.pdf"]),
        ("According to `notes/todo.md`, who calls?", ["/d/notes/todo.md"]),
        ("What do the costs come to in the spreadsheets?", ["/d/sums.xlsx", "/d/rows.csv"]),
        ("In my PDF files, who signed?", ["/d/Report.pdf", "/d/old/report.pdf"]),
        ("Who is named in the Word documents?", ["/d/plan.docx"]),
        ("Which of the PDFs in plan.docx is meant?", ["/d/plan.docx"]),
        ("Is there anything in the slides about rent?", None),
        ("How do I make a PDF?", None),
        ("What is said in pdf parsers about fonts?", None),
        ("In a word, is it good?", None),
        ("Write to ann@report.pdf.example.com, or not?", None),
        ("What is in missing.pdf?", None),
        ("Who calls, according to the folder Notes?", ["/d/notes/todo.md"]),
        ("What is in the directory `old`, please?", ["/d/old/report.pdf"]),
        ("Who signed in old/?", ["/d/old/report.pdf"]),
        ("In old/ and in notes/, who calls?", ["/d/old/report.pdf", "/d/notes/todo.md"]),
        ("What is in old?", None),
        ("In which folder is the plan?", None),
        ("What is in the folder gone?", None),
        ("Is it in https://old/ or in his/her/its name?", None),
        ("Who leaks?", None),
    ],
)
def test_files_and_kinds_of_files_limit_only_where_they_are_named_as_a_place(question: str, paths: list[str] | None):
    assert looked_at(question) == paths


def test_a_limit_that_very_many_documents_fit_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filters, "MAX_DOCUMENTS", 1)
    assert looked_at("What is in the PDFs?") is None
    assert looked_at("What is in plan.docx?") == ["/d/plan.docx"]


@pytest.mark.parametrize(
    ("question", "dates"),
    [
        ("What did Ann say on 6 May 2026?", [{"2026-05-06"}]),
        ("What did Ann say on May 6th?", [{"05-06"}]),
        ("Between 2026-05-06 and 20260507_12:00, who wrote?", [{"2026-05-06"}, {"2026-05-07"}]),
        ("What happened in March 2024?", [{"march", "2024"}]),
        ("What happened in March or April?", [{"march"}, {"april"}]),
        ("Did it rise from March 2023 to March 2024?", [{"march"}]),
        ("Who may go?", []),
        ("What happened in 2024?", []),
    ],
)
def test_dates_are_read_in_any_form(question: str, dates: list[set[str]]):
    assert limits_of(question).dates == tuple(map(frozenset, dates))


def test_a_header_carries_a_date_when_it_has_all_of_its_terms():
    header = frozenset(terms("Minutes | 6 May 2026 | Ann"))
    assert carries(header, limits_of("on 2026-05-06").dates)
    assert carries(header, limits_of("in May 2026").dates)
    assert carries(header, limits_of("on 1 June or on 6 May").dates)
    assert not carries(header, limits_of("in May 2025").dates)
    assert not carries(header, limits_of("who leaks?").dates)


@given(st.text(alphabet="ab./-_ 0123inPDFsMay\n", max_size=300))
def test_any_question_is_read(question: str):
    found = limits_of(question)
    assert isinstance(found, Limits)
    assert len(found.names) <= filters.MAX_NAMES
