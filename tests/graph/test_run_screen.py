"""What a terminal shows: sentences as they come and the rest at the end, in the words that a file gets."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graph import run
from graph.early import Early
from graph.run import Screen, app
from graph.session import Session
from infra.errors import BackendError
from tests.graph.test_doors import ANN, LOOKUP

SECOND = "She sells forty loaves of rye bread a day."


def sentence(text: str, position: int = 1) -> dict[str, Any]:
    return {"event": "sentence", "question_id": "q", "position": position, "text": text, "citations": []}


WITHDRAWN = {"event": "withdrawn", "question_id": "q", "reason": "it broke"}


@pytest.mark.parametrize("shown", [0, 1, 2, 3])
def test_the_words_on_a_terminal_are_those_of_the_whole_answer(shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["One. [E1]", " Two. [E2]", "\nThree. [E1]"]
    whole = "".join(texts) + "\n\nSources\n  [E1] a.txt"
    screen = Screen(live=True)
    for position, text in enumerate(texts[:shown], start=1):
        screen.tell(sentence(text, position))
    early = capsys.readouterr().out
    assert early == "".join(texts[:shown])
    screen.end(whole)
    assert early + capsys.readouterr().out == f"{whole}\n"


def test_what_is_withdrawn_is_said_to_be_and_the_answer_follows_whole(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(live=True)
    screen.tell(sentence("One. [E1]"))
    screen.tell(WITHDRAWN)
    screen.end("One. [E1]\nTwo. [E2]")
    out = capsys.readouterr().out
    assert out == "One. [E1]\n\n(Withdrawn, all of the above: it broke.)\n\nOne. [E1]\nTwo. [E2]\n"


def test_where_nothing_was_shown_nothing_is_withdrawn(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(live=True)
    screen.withdraw("the question was not answered")
    assert capsys.readouterr().out == ""


@pytest.fixture
def docs(tmp_path: Path, data_with_model: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "ann.txt").write_text(ANN, encoding="utf-8")
    return tmp_path / "docs"


def test_a_terminal_and_a_file_get_the_same_words(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["--backend", "engine", "--no-cache", "--docs", str(docs), LOOKUP]
    to_file = CliRunner().invoke(app, asked)
    lives: list[bool] = []
    early: list[str] = []

    class Terminal(Screen):
        def __init__(self, *, live: bool) -> None:
            lives.append(live)
            super().__init__(live=True)

        def tell(self, event: Mapping[str, Any]) -> None:
            early.append(event["text"])
            super().tell(event)

    monkeypatch.setattr(run, "Screen", Terminal)
    to_terminal = CliRunner().invoke(app, asked)
    assert (to_file.exit_code, to_terminal.exit_code) == (0, 0), to_file.stderr
    assert to_terminal.stdout == to_file.stdout
    assert "".join(early) == to_file.stdout.split("\n\n")[0]
    assert lives == [False], "what is captured here is no terminal"
    assert re.search(r"^validator", to_file.stderr, re.MULTILINE)
    assert not re.search(r"^validator", to_terminal.stderr, re.MULTILINE), "the sentences stand there already"


def test_a_question_that_fails_takes_back_what_was_shown(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(self: Session, ask: Any, *, show: bool = False, tell: Any = None) -> dict[str, Any]:
        tell(sentence("One. [E1]"))
        raise BackendError("the server is gone")

    monkeypatch.setattr(Session, "ask", ask)
    monkeypatch.setattr(run, "Screen", lambda live: Screen(live=True))
    done = CliRunner().invoke(app, ["--backend", "engine", "--docs", str(docs), LOOKUP])
    assert done.exit_code == 1
    assert done.stdout == "One. [E1]\n\n(Withdrawn, all of the above: the question was not answered.)\n\n"
    assert "the server is gone" in done.stderr


def test_an_answer_given_again_shows_nothing_early(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["--backend", "engine", "--docs", str(docs), LOOKUP]
    first = CliRunner().invoke(app, asked)
    made: list[Early] = []
    monkeypatch.setattr(Early, "now", lambda self, *_, **__: made.append(self))
    again = CliRunner().invoke(app, asked)
    assert "Given again from the answer cache." in again.stdout
    assert again.stdout.split("\n")[0] == first.stdout.split("\n")[0]
    assert made == []
