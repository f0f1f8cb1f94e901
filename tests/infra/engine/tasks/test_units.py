"""Sources as units."""

from infra.engine.tasks.units import Unit, read_sources
from infra.text.blocks import Block
from infra.text.terms import terms


def units(text: str) -> tuple[Unit, ...]:
    return read_sources([Block("source", {"id": "E1", "doc": "a.txt"}, text)])[0].units


def test_a_heading_gives_context_to_what_follows_and_is_no_unit():
    found = units("# The pump\n\nIt is quiet.\n\n# The lamp\n\nIt is bright.")
    assert [(u.text, u.headed) for u in found] == [
        ("It is quiet.", frozenset(terms("pump"))),
        ("It is bright.", frozenset(terms("lamp"))),
    ]


def test_a_heading_that_nothing_follows_is_quoted_itself():
    assert [u.text for u in units("It is quiet.\n\n# The lamp")] == ["It is quiet.", "# The lamp"]


def test_a_table_row_knows_the_first_row_of_its_table():
    found = units("| size | price |\n| --- | --- |\n| small | 3 |\n| large | 5 |\n\nPrices hold until May.")
    assert [(u.text, u.table_head) for u in found] == [
        ("| small | 3 |", "| size | price |"),
        ("| large | 5 |", "| size | price |"),
        ("Prices hold until May.", ""),
    ]


def test_a_single_row_is_no_head():
    assert [(u.text, u.table_head) for u in units("| size | price |\n\nThat is all.")] == [
        ("| size | price |", ""),
        ("That is all.", ""),
    ]


def test_a_date_line_belongs_to_the_context_of_its_source():
    source = read_sources(
        [Block("source", {"id": "E1", "doc": "a.txt"}, "Time: 2026-03-01 13:00\nAnn: The pump broke.")]
    )[0]
    assert source.date_line == "Time: 2026-03-01 13:00"
    assert [u.text for u in source.units] == ["Ann: The pump broke."]
    assert "2026-03-01" in source.context


def test_what_is_said_and_what_is_asked_are_kept_apart():
    (unit,) = units("Ann: The pump broke. Is the green valve closed? What shall we do now?")
    assert unit.speaker == "Ann"
    assert unit.spoken == {"ann"}
    assert unit.said == {"ann", "pump", "broke", "green", "valv", "close"}
    assert unit.asked == {"green", "valv", "close"}
    assert unit.text[: unit.stated_chars] == "Ann: The pump broke. Is the green valve closed?"
    assert unit.terms == unit.said


def test_a_suggestion_states_what_it_proposes():
    (unit,) = units("Ann: How about the green valve?")
    assert unit.said == {"ann", "green", "valv"}
    assert unit.asked == frozenset()


def test_of_two_sources_with_one_id_the_first_counts_and_one_without_gets_a_number_and_itself_as_document():
    sources = read_sources(
        [
            Block("source", {"id": "E1", "doc": "a.txt"}, "One."),
            Block("source", {"id": "E1", "doc": "b.txt"}, "Two."),
            Block("source", {}, "Three."),
        ]
    )
    assert [(s.id, s.doc, s.rank, [u.text for u in s.units]) for s in sources] == [
        ("E1", "a.txt", 0, ["One."]),
        ("E3", "E3", 1, ["Three."]),
    ]


def test_neighbours_in_one_source_differ_by_one_and_sources_are_apart():
    sources = read_sources([Block("source", {"id": i}, "One. Two.") for i in ("E1", "E2")])
    assert [[u.index for u in s.units] for s in sources] == [[0, 1], [3, 4]]
