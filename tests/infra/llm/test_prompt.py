"""Prompt files and the messages they become."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage

from infra.errors import ConfigurationError
from infra.llm.prompt import Template, load, parse, render
from infra.text.blocks import block


def test_a_file_is_a_system_part_a_line_and_a_task_part(tmp_path: Path) -> None:
    path = tmp_path / "planner.md"
    text = "Be true.\n\n---\n\nSplit the question.\n---\nas it is\n"
    path.write_text(text, encoding="utf-8")
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert load(path) == Template("planner", "Be true.", "Split the question.\n---\nas it is", version)


def test_a_file_without_the_line_is_all_task() -> None:
    template = parse("planner", "# Plan\n\nSplit it.\n")
    assert (template.system, template.task) == ("", "# Plan\n\nSplit it.")


def test_any_change_of_a_prompt_is_another_version() -> None:
    assert parse("a", "Split it.").version != parse("a", "Split it!").version


def test_a_prompt_that_cannot_be_read_says_which(tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "latin.md").write_bytes(b"\xff")
    for name in ("missing.md", "empty.md", "latin.md", ""):
        with pytest.raises(ConfigurationError, match=f"the prompt {tmp_path / name}"):
            load(tmp_path / name)


def test_evidence_comes_first_then_the_question_then_the_task() -> None:
    template = parse("draft", "Own rule.\n---\nAnswer in ${language}, for $$5.")
    sources = [block("source", "words", id="E1"), block("source", "more", id="E2")]
    question = block("question", "who?")
    messages = render(template, system="Common.", sources=sources, blocks=[question], values={"language": "English"})
    assert messages == [
        SystemMessage("Common.\n\nOwn rule."),
        HumanMessage("\n\n".join([*sources, question, "Answer in English, for $5."])),
    ]


def test_prompts_over_the_same_case_share_their_beginning() -> None:
    sources, question = [block("source", "words", id="E1")], block("question", "who?")
    claim = block("claim", "He did.", id="1")
    draft = render(parse("draft", "Answer."), system="Common.", sources=sources, blocks=[question])
    judge = render(parse("judge", "Judge."), system="Common.", sources=sources, blocks=[question, claim])
    shared = f"{sources[0]}\n\n{question}\n\n"
    assert draft[0] == judge[0]
    assert draft[1].text.startswith(shared)
    assert judge[1].text.startswith(shared)


def test_without_any_system_text_there_is_no_system_message() -> None:
    assert render(parse("a", "Do it.")) == [HumanMessage("Do it.")]


@pytest.mark.parametrize(
    ("task", "values", "complaint"),
    [
        ("Say ${word}.", {}, "prompt 'a' cannot be filled: 'word'"),
        ("Pay $ 5.", {}, "prompt 'a' cannot be filled: Invalid placeholder"),
        ("Say it.", {"word": "x"}, "prompt 'a' has no place for word"),
    ],
)
def test_placeholders_and_values_must_match(task: str, values: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        render(parse("a", task), values=values)


def test_a_value_is_never_read_as_a_placeholder() -> None:
    messages = render(parse("a", "Say ${word}."), blocks=["$word ${word} {0}"], values={"word": "${word}"})
    assert messages == [HumanMessage("$word ${word} {0}\n\nSay ${word}.")]


@given(st.text())
def test_every_text_can_be_sent(text: str) -> None:
    (message,) = render(parse("a", "Task."), blocks=[block("question", text)])
    assert message.text.encode()
    assert message.text.endswith("</question>\n\nTask.")


def test_lone_surrogates_become_question_marks() -> None:
    assert render(parse("a", "Task."), blocks=["a\ud800b"]) == [HumanMessage("a?b\n\nTask.")]
