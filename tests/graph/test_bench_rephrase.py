"""The generator of rephrasings and hard negatives: what every pair must keep, whatever the question."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.bench.rephrase.__main__ import read_questions
from graph.bench.rephrase.inflect import Form, inflected, lemmas
from graph.bench.rephrase.make import NEGATIVES, REPHRASINGS, Pair, make
from graph.bench.rephrase.rules import Source
from graph.bench.rephrase.text import read
from graph.bench.rephrase.typos import neighbours
from graph.bench.rephrase.words import DATA, load_words
from infra.errors import ConfigurationError

QUESTIONS = {
    "lihua_world": [
        "What tips does Jennifer give to LiHua about preventing soreness after a tough workout?",
        "Did Wolfgang arrive in Hong Kong after he informed Li Hua about his upcoming trip?",
        "What does Li Hua report to Adam on January 6th?",
        "How can I use the max_tokens setting of claude-3-haiku to save 20 dollars in 3 months?",
    ],
    "xquad_en": [
        "What is the main reason for the largest drought in Brazil?",
        "Who led the attack of the French colony in 1565?",
        "When did Honda, Toyota and Nissan open US assembly plants?",
        "Why was the first museum in Paris closed in May 1921?",
        "How many people died of plague in Paris in 1466?",
        "What do pharmacy technicians depend on at least once a week?",
        "Where was the railway from Dublin to Cork built by Newton?",
    ],
}


def pairs(seed: int = 1, per_kind: int = 20) -> list[Pair]:
    return list(make(QUESTIONS, seed=seed, per_kind=per_kind))


def changes(kind: str, question: str, seed: int = 1) -> list[str]:
    words = load_words()
    rule = {**REPHRASINGS, **NEGATIVES}[kind]
    found = rule(read(question, words), Source(words, ("Alice", "Novak")), Random(seed))
    return [change.text for change in found if not change.base]


def test_the_same_seed_gives_the_same_pairs_in_every_process():
    code = (
        "import sys, json; sys.path.insert(0, '.'); from graph.bench.rephrase.make import make;"
        f"print(json.dumps([p.b for p in make({QUESTIONS!r}, seed=1, per_kind=20)]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(told.stdout) == [pair.b for pair in pairs()]


def test_another_seed_gives_other_pairs():
    assert {pair.b for pair in pairs(seed=1)} != {pair.b for pair in pairs(seed=2)}


def test_every_kind_is_there_and_says_whether_it_keeps_the_meaning():
    found = pairs()
    assert {pair.kind for pair in found if pair.same} == set(REPHRASINGS)
    assert {pair.kind for pair in found if not pair.same} == set(NEGATIVES)
    assert len(NEGATIVES) >= 12


def test_a_kind_gives_no_more_than_it_is_asked_for_and_no_pair_twice():
    found = pairs(per_kind=5)
    assert max(Counter(pair.kind for pair in found).values()) == 5
    assert len({(pair.kind, pair.a, pair.b) for pair in found}) == len(found)


def test_every_pair_says_what_was_changed_and_in_which_set():
    assert all(pair.what and pair.set in QUESTIONS for pair in pairs())


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80), st.sampled_from(sorted({**REPHRASINGS, **NEGATIVES})), st.integers(0, 9))
def test_no_text_breaks_a_rule_and_no_pair_is_twice_the_same_text(text: str, kind: str, seed: int):
    if not read(text, load_words()).tokens:
        return
    for pair in make({"any": [text]}, seed=seed, per_kind=3):
        assert pair.a != pair.b


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([q for texts in QUESTIONS.values() for q in texts]),
    st.sampled_from(["number", "date", "unit", "identifier"]),
    st.integers(0, 999),
)
def test_amounts_change_only_amounts(question: str, kind: str, seed: int):
    for pair in make({"any": [question]}, seed=seed, per_kind=4):
        if pair.kind == kind:
            first, second = pair.a.split(), pair.b.split()
            assert len(first) == len(second)
            assert sum(one != other for one, other in zip(first, second, strict=True)) == 1


@pytest.mark.parametrize("question", ["Who won in 2015 by 24 points?", "What are the two ways?", "Who was Henry VIII?"])
def test_a_number_negative_has_another_number(question: str):
    for changed in changes("number", question):
        assert changed != question
        assert "2015" in changed or "2015" not in question  # a year is a date


def test_a_date_negative_leaves_no_impossible_day():
    for changed in changes("date", "What was said on 20260131?"):
        month, day = re.findall(r"2026(\d\d)(\d\d)", changed)[0]
        assert 1 <= int(month) <= 12
        assert 1 <= int(day) <= 28


def test_may_is_a_month_only_where_a_date_stands():
    assert not changes("date", "When did May leave?")
    assert changes("date", "Who went in May?")


def test_a_unit_becomes_another_of_the_same_measure():
    words = load_words()
    length = {word for _, word in words.units["length"]}
    for changed in changes("unit", "Which town lies 5 miles away?"):
        assert re.findall(r"5 (\w+?)s? ", changed)[0].replace("feet", "foot").replace("inche", "inch") in length


def test_a_yes_or_no_question_is_not_negated_for_it_asks_the_same():
    assert not changes("negation", "Did Wolfgang arrive in Hong Kong?")
    assert not changes("negation", "How did Honda open plants?")  # how and how not: the manner of nothing
    assert "When didn't Honda open plants?" in changes("negation", "When did Honda open plants?")


def test_her_may_be_the_object_and_then_has_no_possessor():
    assert not changes("person", "What is making her feel better?")
    assert changes("person", "What is said about her studio?")


def test_two_names_side_by_side_are_not_exchanged():
    assert not changes("roles", "What did Alice and Novak decide?")
    assert not changes("roles", "How does Alice differ from Novak?")
    assert changes("roles", "What did Alice give to Novak?") == ["What did Novak give to Alice?"]


def test_how_old_does_not_become_how_young():
    assert not changes("polarity", "How old was Elway?")
    assert changes("polarity", "Who was the oldest player?")


def test_a_name_is_not_replaced_by_another_spelling_of_itself():
    words = load_words()
    question = read("What does LiHua like?", words)
    source = Source(words, ("Li Hua", "LiHuas", "LiHau", "Novak"))
    told = {change.text for seed in range(20) for change in NEGATIVES["name"](question, source, Random(seed))}
    assert told == {"What does Novak like?"}


def test_a_typing_mistake_hits_one_word_and_makes_no_other_known_one():
    words = load_words()
    asked = "What decorations are featured in the interior of the museum?"
    for seed in range(200):
        for changed in changes("typo", asked, seed):
            wrong = set(changed.split()) - set(asked.split())
            assert len(wrong) == 1
            assert not wrong & words.vocabulary


def test_neighbours_on_the_keyboard_are_mutual():
    table = neighbours()
    assert sorted(table["g"]) == sorted("tyfhvb")
    assert all(one in table[other] for one in table for other in table[one])


def test_ids_keep_their_capitals_when_the_case_changes():
    for seed in range(10):
        for changed in changes("case", "How is max_tokens set in claude-3-haiku?", seed):
            assert "max_tokens" in changed
            assert "claude-3-haiku" in changed


def test_a_synonym_takes_the_form_of_the_word_and_its_article():
    assert "Who bought an automobile?" in changes("synonym", "Who bought a car?")
    assert "Who purchased a car?" in changes("synonym", "Who bought a car?")


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("What does Ileana think is essential?", "what Ileana thinks is essential"),
        ("Who wrote the song?", "who wrote the song"),
        ("What is the capital of France?", "what the capital of France is"),
        ("How can you save money?", "how you can save money"),
        ("Did Wolfgang arrive in Rome?", "Wolfgang arrived in Rome"),
    ],
)
def test_a_question_becomes_a_clause(question: str, form: str):
    assert any(form in changed for changed in changes("question form", question))


def test_an_adjunct_moves_to_the_front_and_back():
    assert changes("fronting", "Who led the attack in 1565?") == ["In 1565, who led the attack?"]
    assert changes("fronting", "In 1565, who led the attack?") == ["Who led the attack in 1565?"]
    assert not changes("fronting", "What did he say in the chat on 20260916?")


@pytest.mark.parametrize(
    ("lemma", "pos", "form", "told"),
    [
        ("begin", "v", "past", "began"),
        ("begin", "v", "participle", "begun"),
        ("buy", "v", "participle", "bought"),
        ("set_up", "v", "past", "set up"),
        ("take_part", "v", "s", "takes part"),
        ("city", "n", "s", "cities"),
        ("child", "n", "s", "children"),
        ("comb_jelly", "n", "s", "comb jellies"),
        ("big", "a", "est", "biggest"),
        ("use", "v", "ing", "using"),
    ],
)
def test_words_are_inflected(lemma: str, pos: str, form: Form, told: str):
    assert inflected(lemma, pos, form, load_words()) == told


def test_forms_lead_back_to_their_lemma():
    words = load_words()
    assert ("begin", "past") in lemmas("began", "v", words)
    assert ("city", "s") in lemmas("cities", "n", words)


def test_every_list_is_small_and_named_with_its_source_and_licence():
    sources = (DATA / "SOURCES.md").read_text(encoding="utf-8")
    files = sorted(DATA.glob("*.tsv"))
    assert files
    assert all(f"`{file.name}`" in sources for file in files)
    assert "WordNet 3.1" in sources
    assert "Princeton University" in (DATA / "WORDNET_LICENSE").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in files) < 400_000


def test_the_command_writes_what_the_bench_reads(tmp_path: Path):
    folder = tmp_path / "xquad_en"
    folder.mkdir()
    asked = [{"question": text} for text in QUESTIONS["xquad_en"]]
    (folder / "xquad.en.json").write_text(json.dumps({"data": [{"paragraphs": [{"qas": asked}]}]}), encoding="utf-8")
    out = tmp_path / "pairs.jsonl"
    told = subprocess.run(
        [sys.executable, "-m", "graph.bench.rephrase", "--data", tmp_path, "--out", out, "--per-kind", "3"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    counts = json.loads(told.stdout.splitlines()[-1])
    assert counts["pairs"] == len(rows)
    assert {"a", "b", "same", "kind", "what", "set"} == set(rows[0])
    assert Counter(row["kind"] for row in rows) == Counter({**counts["same"], **counts["different"]})
    assert "same: case: 3" in told.stderr


def test_a_folder_without_questions_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="holds none of"):
        read_questions(tmp_path)


def test_a_file_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path):
    folder = tmp_path / "xquad_en"
    folder.mkdir()
    (folder / "xquad.en.json").write_text('{"data": []}', encoding="utf-8")
    command = [sys.executable, "-m", "graph.bench.rephrase", "--data", tmp_path, "--out", tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 2
    assert told.stderr == f"docmind: --out {tmp_path} cannot be written; name a file in a folder that exists\n"
