"""An answer that is there is delivered: whatever has become of the servers, nobody is asked about it any more."""

import json
from collections.abc import Callable
from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx2
import pytest
from annotated_types import Ge
from rich.console import Console

from graph.build import build
from graph.nodes import Desk
from graph.session import Ask, Session, prepare
from infra.errors import ConfigurationError
from infra.resources import Resources
from infra.settings import AgentSettings, load_settings
from tests.fakes import ScriptedServer
from tests.network import Net, by_rules

pytestmark = pytest.mark.usefixtures("data_with_model")

QUESTION = "When did Bob Stone repair the old mill?"
DRAFTED = {"claims": [{"text": "Bob Stone repaired the old mill in 1998.", "marks": ["E1"]}]}
ANSWER = "Bob Stone repaired the old mill in 1998. [E1]"


class Mortal(ScriptedServer):
    """Routes and drafts, and is gone after the draft."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.gone = False

    def _reply(self, body: dict[str, Any]) -> str:
        task = body["response_format"]["json_schema"]["name"]
        self.gone = task == "draft"
        return json.dumps({"route": {"kind": "lookup", "question": QUESTION}, "draft": DRAFTED}[task])

    def _answer(self, request: httpx2.Request, content: bytes) -> Any:
        if self.gone:
            raise httpx2.ConnectError("gone", request=request)
        return super()._answer(request, content)


async def ask(tmp_path: Path, net: Net, question: str = QUESTION, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the answer of a session over one small document, and what it says of its back ends."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "bob.txt").write_text("Bob Stone repaired the old mill in 1998. The mill stands by the river Ems.\n")
    resources = Resources(load_settings(**settings), server=net.transports)
    console = Console(file=StringIO())
    roots = prepare(resources, [docs], console)
    async with Session(resources, console, keep_threads=False) as session:
        return await session.ask(Ask(question, roots)), session.notes


@pytest.mark.parametrize("backend", ["vllm", "auto"])
async def test_a_server_that_dies_after_the_draft_takes_no_answer_with_it(tmp_path: Path, backend: str) -> None:
    server = Mortal()
    answer, _ = await ask(tmp_path, Net({8000: server}), backend=backend)
    assert answer["answer"] == ANSWER
    assert answer["backend"] == {"name": "vllm", "model": "scripted", "engine": "vllm 0.32.0"}
    assert server.paths.count("/v1/models") == 1


async def test_an_agents_own_model_is_named_where_its_server_has_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMIND_MODELS__SYNTHESIZER", "vllm:big")
    server = ScriptedServer(by_rules(), model="small")
    server.models.append(server.models[0] | {"id": "big"})
    answer, _ = await ask(tmp_path, Net({8000: server}), backend="engine")
    assert answer["answer"] == ANSWER
    assert answer["backend"] == {"name": "vllm", "model": "big", "engine": "vllm 0.32.0"}


async def test_a_run_whose_agents_all_have_their_own_model_needs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for agent in ("ROUTER", "SYNTHESIZER", "VALIDATOR"):
        monkeypatch.setenv(f"DOCMIND_MODELS__{agent}", "vllm:big")
    server = ScriptedServer(by_rules(), model="small")
    server.models.append(server.models[0] | {"id": "big"})
    answer, _ = await ask(tmp_path, Net({8000: server}), backend="vllm")
    assert (answer["answer"], answer["backend"]["model"]) == (ANSWER, "big")


async def test_small_talk_asks_for_no_server(tmp_path: Path) -> None:
    server = ScriptedServer(by_rules())
    answer, notes = await ask(tmp_path, Net({8000: server}), "Hello!")
    assert answer["answer"].startswith("Hello.")
    assert answer["backend"]["name"] == "engine"
    assert (server.paths, notes) == ([], [])


async def test_an_agent_that_needs_no_model_is_not_kept_by_a_dead_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMIND_MODELS__VALIDATOR", "llamacpp")
    answer, notes = await ask(tmp_path, Net({8000: ScriptedServer(by_rules())}), backend="auto")
    assert answer["answer"] == ANSWER
    assert [note.split(";")[0] for note in notes] == ["vllm at http://127.0.0.1:8000/v1"]


def longest() -> Callable[[dict[str, Any]], str]:
    """Answer so that a question takes as many steps as one can: three parts, and no claim that is ever supported.

    Each draft says it in other words: what the judge refused once is not put to it again.
    """
    steps = [{"id": f"q{n}", "question": f"{QUESTION} {n}"} for n in (1, 2, 3)]
    said = permutations(["the old mill", "was repaired", "by Bob Stone", "in 1998"])

    def script(body: dict[str, Any]) -> str:
        replies: dict[str, Callable[[], Any]] = {
            "route": lambda: {"kind": "compound", "question": QUESTION},
            "plan": lambda: {"steps": steps},
            "draft": lambda: {"claims": [{"text": " ".join(next(said)), "marks": ["E1"]}]},
            "judge": lambda: {"judgements": [{"claim": "1", "supported": False}]},
        }
        return json.dumps(replies[body["response_format"]["json_schema"]["name"]]())

    return script


async def test_the_least_steps_that_may_be_set_are_enough_for_the_longest_question(tmp_path: Path) -> None:
    [least] = [rule.ge for rule in AgentSettings.model_fields["recursion_limit"].metadata if isinstance(rule, Ge)]
    agents = {"max_rounds": 4, "parallel_tools": False, "recursion_limit": least, "route_by_rules": False}
    calls = {"question_calls": 2 + 3 * 2 + 1}  # the fourth judge is refused, and rules draft a fifth time
    net = Net({8000: ScriptedServer(longest())})
    answer, _ = await ask(tmp_path, net, backend="vllm", agents=agents, budget=calls, cache={"enabled": False})
    assert (answer["verdict"]["rounds"], len(answer["trail"])) == (5, 15)
    assert ANSWER in answer["answer"]


async def test_too_many_steps_are_an_error_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(desk: Desk, **more: Any) -> Any:
        return build(desk, **more).with_config(recursion_limit=5)

    monkeypatch.setattr("graph.session.build", short)
    with pytest.raises(ConfigurationError, match="DOCMIND_AGENTS__RECURSION_LIMIT decides"):
        await ask(tmp_path, Net({}), backend="engine")
