"""The pages of the project are true: the commands, options and settings they show exist, and every room is named."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from graph.cli import DOORS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = ("graph", "graph/bench", "agents", "tools", "infra", "infra/store")
FORMATS = "markdown rst html pdf docx pptx xlsx csv epub ipynb json eml".split()  # noqa: SIM905 - a list to be read by people

_CODE = re.compile(r"```sh\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_CALL = re.compile(r"(?:python -m (?P<module>(?:graph|tools|infra)[\w.]*)|docmind (?P<door>[a-z]+))(?P<rest>[^|&;]*)")


def shown(page: Path) -> str:
    """The code of a page: its shell blocks, and what stands between back quotes."""
    return "\n".join(block or span for block, span in _CODE.findall(page.read_text(encoding="utf-8")))


def calls(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The modules whose commands a page shows, each with the words after it."""
    for line in shown(page).replace("\\\n", " ").splitlines():
        for call in _CALL.finditer(line.split(" #", 1)[0]):
            ours = call["rest"].split(" -- ")[0]  # behind it stand another program's options
            yield call["module"] or DOORS[call["door"]].module, ours.split()


def options_of(module: str, words: list[str]) -> set[str]:
    """The options of the command that a call means; of a door with several, the one that its first word names."""
    command: Any = typer.main.get_command(import_module(module).app)
    if words and words[0].isalpha() and words[0].islower():  # elsewhere a placeholder stands, such as NAME
        command = getattr(command, "commands", {words[0]: command})[words[0]]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_there_with_its_options(page: Path) -> None:
    for module, words in calls(page):
        door = f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module
        assert {word for word in words if word.startswith("--")} <= options_of(door, words), (module, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_shown_is_there(page: Path) -> None:
    listed = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"DOCMIND_[A-Z0-9_]+", page.read_text(encoding="utf-8")))
    assert {name for name in named if not re.search(rf"{name}{'' if name.endswith('_') else '='}", listed)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_of_make_shown_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", shown(page))) <= targets


@pytest.mark.parametrize("folder", ROOMS)
def test_the_page_of_the_house_names_every_room(folder: str) -> None:
    rooms = {path.stem for path in (ROOT / folder).glob("*.py") if not path.stem.startswith("__")}
    assert {
        room for room in rooms if not re.search(rf"`(?:{folder.replace('/', '.')}\.)?{room}`", ARCHITECTURE)
    } == set()


def test_the_page_on_ingesting_names_every_format() -> None:
    page = (ROOT / "docs" / "ingesting-documents.md").read_text(encoding="utf-8").casefold()
    assert [name for name in FORMATS if name not in page] == []
