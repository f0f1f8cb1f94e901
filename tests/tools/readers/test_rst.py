"""reStructuredText: the text as it stands, divided where docutils sees headings; nothing is included or run."""

import time
from pathlib import Path

import pytest
from docutils import nodes

from tests.tools.samples import RST, read_as, stretches
from tools.readers import rst

titles = rst._titles

TITLES = """\
#####
Guide
#####

Setup
=====
Install. See :ref:`this <that>`.

.. code-block:: python

   Not a heading
   =============

Deep *down*
-----------
x

End
===
y
"""


def test_restructured_text_is_divided_at_its_headings_and_stands_as_it_was_written(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.rst", TITLES)
    assert (extracted.text, extracted.title) == (TITLES, "Guide")
    assert [(headings, text.split("\n", 1)[0]) for headings, text in stretches(extracted)] == [
        (("Guide", "Setup"), "#####"),
        (("Guide", "Setup", "Deep down"), "Deep *down*"),
        (("Guide", "End"), "End"),
    ]
    assert "".join(text for _, text in stretches(extracted)) == TITLES


def test_a_line_above_a_heading_belongs_to_it(tmp_path: Path) -> None:
    (_, first), (_, second) = stretches(read_as(tmp_path, "a.rst", RST))
    assert first.startswith("======\nCaches\n======\n")
    assert second.startswith("Kinds\n-----\n")


def test_titles_with_tabs_are_found_and_what_is_never_found_takes_no_time() -> None:
    assert list(rst._located("a\tb\n====\nx", [(1, "a b", "a       b")])) == [(1, "a b", 0, 9)]
    text, started = "a\n=\n" * 20_000, time.thread_time()
    assert list(rst._located(text, [(1, "b", f"b{number}") for number in range(20_000)])) == []
    assert time.thread_time() - started < 2


def test_no_file_is_included_and_nothing_unknown_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[nodes.document] = []
    monkeypatch.setattr(rst, "_titles", lambda document: seen.append(document) or titles(document))
    (tmp_path / "secret.txt").write_text("secret\n======\n\nhidden")
    monkeypatch.chdir(tmp_path)
    text = (
        "Top\n===\n\n.. include:: secret.txt\n\n.. raw:: html\n   :file: secret.txt\n\n.. automodule:: os\n\n|x| `a`_\n"
    )
    extracted = read_as(tmp_path, "a.rst", text)
    assert stretches(extracted) == [(("Top",), text)]
    assert "hidden" not in seen[0].astext()


def test_headings_whose_levels_contradict_each_other_are_read_all_the_same(tmp_path: Path) -> None:
    text = "A\n=\n\nB\n-\n\nx\n\nC\n~\n\ny\n\nD\n=\n\nE\n~\n\nz\n"
    extracted = read_as(tmp_path, "a.rst", text)
    assert extracted.text == text
    assert extracted.sections[0].headings == ("A", "B")
