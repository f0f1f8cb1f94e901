"""JSON: records with their key paths, numbers as they are written, no depth that is a danger."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import DocumentError
from tests.tools.samples import assert_well_divided, read_as, stretches

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def test_a_key_of_the_outermost_object_is_a_section_and_records_are_units(tmp_path: Path) -> None:
    data = """{"title": "Shop  list", "open": true, "tools": [
        {"tool": "saw", "price": {"euro": 12.50}, "sizes": [1, 2]}, {"tool": "nail", "note": null}, {}],
        "owner": {"name": "Ann", "lives": {"in": "K\\u00f6ln\\ud800"}}}"""
    extracted = read_as(tmp_path, "a.json", data)
    assert extracted.title == "Shop list"
    assert stretches(extracted) == [
        ((), "title: Shop  list\nopen: true"),
        (("tools",), "tools[0]\ntool: saw\nprice.euro: 12.50\nsizes: 1, 2\ntools[1]\ntool: nail\nnote: null"),
        (("owner",), "owner.name: Ann\nowner.lives\nin: K\u00f6ln\ufffd"),
    ]
    first, second = extracted.sections[1].units
    assert extracted.text[slice(*first)] == "tools[0]\ntool: saw\nprice.euro: 12.50\nsizes: 1, 2"
    assert extracted.text[slice(*second)] == "tools[1]\ntool: nail\nnote: null"


def test_an_array_and_a_single_value_are_read(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.json", '[1, {"a": 1e5}]').text == "[0]: 1\n[1]\na: 1e5"
    assert read_as(tmp_path, "a.json", '"just words"').text == "just words"


def test_each_line_of_json_lines_is_a_record(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.jsonl", '{"a": "x\\ny"}\n\n[2, 3]\n')
    assert [extracted.text[start:end] for start, end in extracted.sections[0].units] == [
        "line 1\na: x\ny",
        "line 3: 2, 3",
    ]


@pytest.mark.parametrize(
    ("name", "data"), [("a.json", '{"a": '), ("a.jsonl", '{"a": 1}\n{"a"'), ("a.json", "{'a': 1}")]
)
def test_what_is_no_json_is_broken(tmp_path: Path, name: str, data: str) -> None:
    with pytest.raises(DocumentError, match=r"the JSON( Lines)? is broken: .*line 1 column"):
        read_as(tmp_path, name, data)


def test_nesting_without_end_is_refused_and_deep_nesting_is_read(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="the JSON is broken: "):
        read_as(tmp_path, "a.json", "[" * 200_000)
    assert read_as(tmp_path, "a.json", '{"k":' * 300 + '"deep"' + "}" * 300).text.endswith(": deep")


def test_long_keys_do_not_multiply(tmp_path: Path) -> None:
    data = json.dumps({"k" * 100_000: [{"a": number} for number in range(1_000)]})
    extracted = read_as(tmp_path, "a.json", data)
    assert len(extracted.text) < 300_000
    assert extracted.sections[0].headings == ("k" * 80,)


def test_a_number_of_any_length_stands_as_it_is_written(tmp_path: Path) -> None:
    number = "9" * 5_000
    assert read_as(tmp_path, "a.json", f'{{"a": {number}, "b": 1.10}}').text == f"a: {number}\nb: 1.10"


@given(VALUES)
@settings(max_examples=60)
def test_any_value_is_read_or_holds_no_text(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    try:
        extracted = read_as(tmp_path_factory.getbasetemp(), "any.json", json.dumps(value))
    except DocumentError as error:
        assert str(error) == "there is no text in it"  # noqa: PT017 - most values are read
        return
    assert_well_divided(extracted)
