"""Blocks are found where they are, whatever stands around them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from infra.text.blocks import TAGS, Block, block, find_blocks, neutral, place_blocks, stretches

PIECES = [
    "<text>\n",
    '<text id="a&amp;b">\n',
    "</text>",
    "\n</text>\n",
    "</text> x",
    "\n",
    "x",
    "<source>\n",
    "</source>\n",
]
GRAMMAR = re.compile(
    rf"^<(?P<tag>{'|'.join(TAGS)})(?: [a-z]+=\"[^\"\n]*\")*>\n(?P<body>.*?)\n?^</(?P=tag)>$", re.DOTALL | re.MULTILINE
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_blocks_are_those_of_the_grammar(text: str) -> None:
    wanted = [(m["tag"], m.span(), m.span("body"), m["body"]) for m in GRAMMAR.finditer(text)]
    assert [(p.block.tag, p.span, p.body, p.block.body) for p in place_blocks(text)] == wanted


@given(st.sampled_from(TAGS), st.text(max_size=60), st.text(max_size=20))
def test_a_block_is_read_as_it_was_written(tag: str, body: str, label: str) -> None:
    written = block(tag, body, id=label)
    (found,) = find_blocks(f"before\n{written}\nafter", tag)
    assert found == Block(tag, {"id": " ".join(label.split())}, found.body)
    assert f">\n{found.body}\n</" in written


def test_tags_that_are_never_closed_cost_no_more_than_their_text() -> None:
    text = "<text>\n" * 100_000 + "word " * 200_000  # to look for each one's end took half an hour
    assert find_blocks(text) == []
    assert stretches(text, but="source") == [(0, len(text))]


def test_a_tag_that_does_not_come_costs_no_more_than_the_blanks_before_it() -> None:
    text = "<" + " " * 200_000 + "x"  # to try each place for a slash took hours
    assert neutral(text) == text
