"""Dates, speakers and headers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.text.plain import one_line
from tools.context import HEADER_CHARS, SECTION_CHARS, find_date, find_people, header_of, section_name, written_time
from tools.extracted import Extracted, Section, Span


def lines(text: str) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for line in text.split("\n"):
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


@pytest.mark.parametrize(
    ("text", "name", "date"),
    [
        ("Time: 20260506_12:00\nAnn: hello", "x", "6 May 2026 12:00"),
        ("Title\n\nPublished: 2024-03-01\n\nText", "x", "1 March 2024"),
        ("Date: Fri, 3 Oct 2025 10:00", "x", "3 October 2025"),
        ("Minutes of January 5th, 2026", "x", "5 January 2026"),
        ("No date here.", "report-2025.12.31", "31 December 2025"),
        ("No date here.", "20260105_1100", "5 January 2026 11:00"),
        ("In a long first sentence somebody mentions that on 2024-03-01 something else took place far away.", "x", ""),
        ("One\nTwo\nThree\nDate: 2024-03-01", "x", ""),
        ("Order 20261399 and 2026/99/01", "x", ""),
        ("", "", ""),
    ],
)
def test_a_date_is_found_where_the_text_or_its_name_says_so(text: str, name: str, date: str) -> None:
    assert find_date(text, name) == date


def test_speakers_of_a_conversation_are_named_in_order_of_their_share() -> None:
    text = "Time: 20260506\nLiHua: Hi!\nAnn Lee: Hello.\nLiHua: Bye.\nAnn Lee: See you.\nLiHua: Yes."
    assert find_people(text, lines(text)) == ("Li Hua", "Ann Lee")


@pytest.mark.parametrize(
    "text",
    [
        "Host: server\nPort: 80\nUser: me\nMode: fast\nPath: here",
        "Some prose.\nMore prose: with a colon.\nAnn: hello",
        "Ann: hello",
        "",
    ],
)
def test_what_is_no_conversation_has_no_speakers(text: str) -> None:
    assert find_people(text, lines(text)) == ()


def test_a_header_holds_what_is_known_each_once() -> None:
    section = Section(0, 1, ("Guide", "KV cache"), page=3, columns=("name", "price"))
    extracted = Extracted("x", "Guide", (section,), "6 May 2026", ("Ann", "Bo"))
    assert header_of(extracted, section, "how-to/2026/gpu_setup.md") == (
        "Guide | KV cache | page 3 | 6 May 2026 | Ann, Bo | columns: name, price | how to"
    )


def test_a_document_without_title_is_called_by_the_words_of_its_name() -> None:
    assert header_of(Extracted("x", "", ()), Section(0, 1), "a/gpu-setup_v2 20260101.txt") == "gpu setup v2 | a"
    assert header_of(Extracted("x", "", ()), Section(0, 1), "20260101.txt") == ""


def test_the_names_of_many_columns_are_kept_with_every_row() -> None:
    names = tuple(f"column {number}" for number in range(15))
    section = Section(0, 1, ("Sheet",), columns=names)
    header = header_of(Extracted("x", "T" * 500, (section,)), section, "x.csv")
    assert header == f"{'T' * 100} | Sheet | columns: {', '.join(names)}"[:HEADER_CHARS]
    assert "column 14" in header


def test_a_moment_is_written_as_a_date_that_was_found() -> None:
    assert written_time(datetime(2026, 5, 6, 9, 30, tzinfo=UTC)) == find_date("Time: 2026-05-06 09:30", "x")


def test_a_header_is_one_short_line() -> None:
    section = Section(0, 1, tuple(f"heading {n}\n " + "long " * 50 for n in range(9)))
    header = header_of(Extracted("x", "", ()), section, "x.md")
    assert len(header) == HEADER_CHARS
    assert "\n" not in header


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (Section(0, 1), ""),
        (Section(0, 1, page=3), "page 3"),
        (Section(0, 1, ("Caches",), page=4, kind="slide"), "slide 4 > Caches"),
        (Section(0, 1, ("Chapter 2", "", "Caches")), "Chapter 2 > Caches"),
        (Section(0, 1, ("Cache.get",), kind="function"), "function Cache.get"),
        (Section(0, 1, kind="function"), ""),
    ],
)
def test_a_section_is_called_by_its_page_and_headings(section: Section, name: str) -> None:
    assert section_name(section) == name


def test_of_many_headings_the_last_ones_are_named() -> None:
    name = section_name(Section(0, 1, tuple(f"heading {n} {'long ' * 9}" for n in range(9)), page=2))
    assert name.startswith("page 2 > heading 6")
    assert name.endswith(f"heading 8 {'long ' * 9}".strip())


@given(st.lists(st.text(max_size=300), max_size=9), st.integers(0, 10**6), st.sampled_from(["", "slide", "function"]))
def test_the_name_of_a_section_is_one_short_line(headings: list[str], page: int, kind: str) -> None:
    name = section_name(Section(0, 1, tuple(headings), page, kind=kind))
    assert len(name) <= SECTION_CHARS
    assert name == one_line(name)
    assert not page or name.startswith(f"{kind or 'page'} {page}")
