"""The one normalisation of words."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.text.terms import MAX_WORD_CHARS, STOP_WORDS, terms

SIXTH_OF_MAY = ["2026-05-06", "05-06", "may", "2026"]


@pytest.mark.parametrize(
    "text",
    [
        "May 6, 2026",
        "May 6 2026",
        "may 6th, 2026",
        "6 May 2026",
        "the 6th of May, 2026",
        "06 May, 2026",
        "2026-05-06",
        "2026/5/6",
        "2026.05.06",
        "20260506",
        "Time: 20260506_12:00",
        "20260506_1200",
        "Date: 2026-05-06 09:30:00",
        "2026-05-06T12:00:00.123Z",
        "2026-05-06T12:00:00+02:00",
        "5/6/2026",
        "05/06/2026",
        "6.5.2026",
    ],
)
def test_every_way_of_writing_a_day_gives_the_same_terms(text: str):
    assert terms(text) == SIXTH_OF_MAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on May 6", ["05-06", "may"]),
        ("the 6th of May", ["05-06", "may"]),
        ("in May 2026", ["may", "2026"]),
        ("Dec. 24", ["12-24", "decemb"]),
        ("Sept 2025", ["septemb", "2025"]),
        ("13/5/2026 and 5/13/2026", ["2026-05-13", "05-13", "may", "2026"] * 2),
        ("20260506_notes.txt", [*SIXTH_OF_MAY, "note", "txt"]),
        ("sales-2026-05-06.csv", ["sale", *SIXTH_OF_MAY, "csv"]),
    ],
)
def test_dates_written_short_or_inside_names_are_read(text: str, expected: list[str]):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("35/40/2026", ["35", "40", "2026"]),
        ("order 120260506123", ["order", "120260506123"]),
        ("2026-13-45", ["2026", "13", "45"]),
        ("version 1.10.2", ["version", "1.10.2"]),
    ],
)
def test_what_only_looks_like_a_date_stays_a_number(text: str, expected: list[str]):
    assert terms(text) == expected


def test_may_the_month_is_told_from_may_the_verb():
    assert terms("It may rain in May.") == ["rain", "may"]
    assert terms("May I go?") == ["go"]


@pytest.mark.parametrize("text", ["7 PM", "7pm", "7:00 p.m.", "19:00"])
def test_a_clock_time_has_one_form(text: str):
    assert terms(text) == ["19:00"]


def test_noon_and_midnight_are_on_the_right_side_of_the_day():
    assert terms("12 PM and 12:30 am, not 15 pm") == ["12:00", "00:30", "15:00"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000,000 files", ["1000000", "file"]),
        ("1,2,3", ["1", "2", "3"]),
        ("3.50", ["3.50"]),
        ("5th", ["5"]),
        ("16GB or 16 GB", ["16gb", "16", "gb", "16", "gb"]),
        ("128K", ["128k", "128"]),
        ("50% of $5,000", ["50", "percent", "dollar", "5000"]),
        ("v0.14.0", ["0.14.0"]),
        ("3x4b", ["3x4b", "3"]),
        ("\U00010a40", ["\U00010a40"]),
    ],
)
def test_numbers_lose_separators_and_keep_units(text: str, expected: list[str]):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WolfgangSchulz", ["wolfgangschulz", "wolfgang", "schulz"]),
        ("max_model_len", ["max_model_len", "max", "model", "len"]),
        ("getHTTPResponse", ["gethttpresponse", "get", "http", "respons"]),
        ("GPUs", ["gpu"]),
        ("Qwen3", ["qwen3", "qwen"]),
        ("C++ and C#", ["c++", "c#"]),
        ("infra.text.terms", ["infra", "text", "term"]),
    ],
)
def test_identifiers_are_split_and_kept_whole(text: str, expected: list[str]):
    expected = [term for term in expected if term not in STOP_WORDS]
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café naïve", "cafe naive"),
        ("ﬁle", "file"),
        ("WÖLFE", "wölfe"),
        ("Hua’s", "Hua's"),
        ("fine-tuning", "fine tuned"),
        ("connections", "connected"),
    ],
)
def test_spellings_of_the_same_word_meet(one: str, other: str):
    assert terms(one) == terms(other) != []


def test_stop_words_and_contractions_are_dropped():
    assert terms("What don't they, and who's THE one that isn't?") == ["one"]


def test_chinese_and_japanese_become_pairs_of_characters():
    assert terms("東京タワー") == ["東京", "京タ", "タワ", "ワー"]
    assert terms("猫") == ["猫"]
    assert terms("abc東京xyz") == ["abc", "東京", "xyz"]


def test_an_endless_word_is_cut():
    assert terms("x" * 10_000) == ["x" * MAX_WORD_CHARS]


def test_threads_agree():
    words = [f"connection{n}s running{n} Wolfgang{n}Schulz" for n in range(300)]
    results: list[list[list[str]]] = []
    threads = [threading.Thread(target=lambda: results.append([terms(w) for w in words])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [results[0]] * 4


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_any_text_gives_short_folded_terms_and_case_of_a_plain_text_does_not_matter(text: str):
    found = terms(text)
    assert all(term and not any(map(str.isspace, term)) for term in found)
    assert terms(text) == found


@given(st.lists(st.sampled_from(["alpha", "running", "the", "2026-05-06", "max_len", "7 pm", "16GB"]), max_size=8))
@settings(max_examples=50)
def test_terms_of_joined_lines_are_the_terms_of_each(parts: list[str]):
    assert terms("\n;\n".join(parts)) == [term for part in parts for term in terms(part)]


@pytest.mark.parametrize("piece", ["time: ", "May ", "1 ", "1,", "2026-", "a_", "'", "12:", "1.", "6 May ", "Aa"])
def test_a_hostile_text_costs_no_more_than_its_length(piece: str):
    text = piece * (100_000 // len(piece))
    started = time.thread_time()
    terms(text)
    assert time.thread_time() - started < 5
