"""Notebooks: prose under its headings, code and what it wrote under the cell's number."""

import json
from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.samples import notebook_bytes, read_as, stretches


def test_a_notebook_gives_prose_code_and_text_output(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.ipynb", notebook_bytes())
    assert extracted.title == "Study"
    assert stretches(extracted) == [
        (("Study",), "Study\n\nWe count."),
        (("Study", "Method"), "Method"),
        (("Study", "Method", "cell 2"), "a = 1\nb = 2"),
        (("Study", "Method", "cell 2"), "one\ntwo"),
        (("Study", "Method", "cell 2"), "42"),
        (("Study", "Method", "cell 2"), "KeyError: 'x'"),
        (("Study", "Method"), "It works."),
    ]
    code = extracted.sections[2]
    assert [extracted.text[start:end] for start, end in code.units] == ["a = 1", "b = 2"]


def test_notebooks_of_older_formats_are_read(tmp_path: Path) -> None:
    old = {"cell_type": "code", "input": "print(1)", "outputs": [], "language": "python", "collapsed": False}
    data = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [old]}]})
    assert stretches(read_as(tmp_path, "a.ipynb", data)) == [(("cell 1",), "print(1)")]


@pytest.mark.parametrize("data", ["{", "[]", '{"nbformat": 4}', '{"nbformat": 4, "nbformat_minor": 4, "cells": [1]}'])
def test_what_is_no_notebook_is_broken(tmp_path: Path, data: str) -> None:
    with pytest.raises(DocumentError, match="the notebook is broken: "):
        read_as(tmp_path, "a.ipynb", data)
