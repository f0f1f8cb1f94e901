"""Documents cut into passages and windows: sizes, order, overlap, exact places."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.chunk import CHUNK_TOKENS, OVERLAP_TOKENS, WINDOW_TOKENS, Cut, count_tokens, cut
from tools.extracted import Extracted, Section, Writer

WORDS = st.sampled_from(
    ["cache", "memory", "a", "42", "invalidation,", "No.", "yes!", "Dr.", "long-term", "\n", "\n\n"]
)
PROSE = st.lists(WORDS, max_size=600).map(" ".join)


def whole(text: str) -> Extracted:
    return Extracted(text, "", (Section(0, len(text)),))


def header(_: Section) -> str:
    return "header"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("the cat", 2),
        ("internationalisation", 4),
        ("2026", 1),
        ("20260506", 3),
        ("a-b, c!", 6),
        ("🤖 日", 2),
        ("snake_case", 3),
    ],
)
def test_tokens_are_estimated_like_word_pieces(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_a_short_text_is_one_passage_with_one_window() -> None:
    text = "One sentence. And another."
    assert cut(whole(text), header) == [Cut(0, 26, "header", ((0, 26),), "")]


def test_passages_never_cross_a_section() -> None:
    text = "# One\n\nFirst.\n\n# Two\n\nSecond."
    extracted = Extracted(text, "", (Section(0, 15, ("One",)), Section(15, len(text), ("Two",))))
    cuts = cut(extracted, lambda section: "/".join(section.headings))
    assert [(text[c.start : c.end], c.header) for c in cuts] == [
        ("# One\n\nFirst.", "One"),
        ("# Two\n\nSecond.", "Two"),
    ]


@settings(max_examples=30)
@given(st.lists(PROSE, min_size=1, max_size=4))
def test_every_passage_names_the_page_that_all_its_words_stand_on(pages: list[str]) -> None:
    writer = Writer()
    sections = [Section(*writer.add(page), page=number) for number, page in enumerate(pages, start=1)]
    for piece in cut(Extracted(writer.text(), "", tuple(sections)), header):
        [holder] = [s for s in sections if s.start <= piece.start and piece.end <= s.end and s.start < s.end]
        assert piece.section == f"page {holder.page}"


def test_a_long_text_is_cut_into_passages_of_about_the_same_size() -> None:
    sentence = "The cache keeps what was read before and forgets the rest. "
    text = sentence * 40
    sizes = [count_tokens(text[c.start : c.end]) for c in cut(whole(text), header)]
    assert sum(sizes) == count_tokens(text)
    assert max(sizes) <= CHUNK_TOKENS
    assert max(sizes) - min(sizes) <= 2 * count_tokens(sentence)


def test_units_are_kept_whole_while_they_fit() -> None:
    rows = [f"row {n}, with. several. sentences. " + "word " * 60 for n in range(7)]
    text = "\n".join(rows)
    starts = [sum(len(row) + 1 for row in rows[:n]) for n in range(7)]
    units = tuple((start, start + len(row)) for start, row in zip(starts, rows, strict=True))
    cuts = cut(Extracted(text, "", (Section(0, len(text), units=units),)), header)
    assert {c.start for c in cuts} <= set(starts)
    assert len(cuts) == 4


def test_a_unit_that_does_not_fit_is_cut_at_sentences() -> None:
    text = "This is a sentence of seven words. " * 60
    cuts = cut(Extracted(text, "", (Section(0, len(text), units=((0, len(text.strip())),)),)), header)
    assert len(cuts) > 1
    assert all(text[c.start : c.end].endswith(".") for c in cuts)


def test_a_sentence_without_end_is_cut_between_words() -> None:
    text = "word " * 1000
    cuts = cut(whole(text), header)
    assert all(text[c.start : c.end].strip("word ") == "" for c in cuts)
    assert all(count_tokens(text[c.start : c.end]) <= CHUNK_TOKENS for c in cuts)


@given(PROSE)
@settings(max_examples=50)
def test_passages_are_in_order_bounded_and_hold_every_word(text: str) -> None:
    cuts = cut(whole(text), header)
    last = 0
    for piece in cuts:
        assert last <= piece.start < piece.end <= len(text)
        assert not text[last : piece.start].strip()
        assert count_tokens(text[piece.start : piece.end]) <= CHUNK_TOKENS
        last = piece.end
    assert not text[last:].strip()


@given(PROSE)
@settings(max_examples=50)
def test_windows_cover_their_passage_overlap_and_are_bounded(text: str) -> None:
    for piece in cut(whole(text), header):
        windows = piece.windows
        assert (windows[0][0], windows[-1][1]) == (piece.start, piece.end)
        for (start, end), (following, further) in pairwise(windows):
            assert start < following <= end + 2
            assert end < further
            assert count_tokens(text[following:end]) <= OVERLAP_TOKENS
        assert all(count_tokens(text[start:end]) <= WINDOW_TOKENS + OVERLAP_TOKENS for start, end in windows)
        assert len(set(windows)) == len(windows)
