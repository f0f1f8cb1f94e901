"""What the prompts share: a server with prefix caching reads the common beginning once."""

from collections.abc import Sequence
from itertools import takewhile

import pytest
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from agents import planner, router, synthesizer, validator
from agents.common import SYSTEM, question_block
from agents.planner import Plan, Step, single
from agents.router import Choice, Completed
from agents.synthesizer import Case, Claim, Draft, case_messages, draft
from agents.validator import Judgements, validate
from infra.engine.tokenizer import decode, encode
from infra.llm.ask import response_format
from infra.llm.prompt import Template, render
from tests.agents.models import evidence, scripted

ASKED = "When did Ann open the bakery, and who sells bread?"
STEPS = Plan(
    steps=[Step(id="q1", question="When did Ann open the bakery?"), Step(id="q2", question="Who sells bread?")]
)
CASE = Case(ASKED, STEPS, [evidence(), evidence("Bob sells bread.", "bob.txt", "E2")])
REWORDED = Draft(claims=[Claim(text="The bakery has been open since May 2021.", marks=["E1"])])
OBJECTIONS = ["It opened in June. (another month)"]


def whole(messages: Sequence[BaseMessage]) -> str:
    return "".join(f"<|{message.type}|>{message.text}" for message in messages)


def shared(*prompts: str) -> str:
    """Return the text of the tokens that all prompts begin with."""
    columns = zip(*map(encode, prompts), strict=False)
    return decode([column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)])


async def sent(case: Case, *, round_two: bool = False) -> tuple[str, str]:
    """Return what synthesizer and validator send for one case."""
    model, server = scripted({"claims": []}, {"judgements": []})
    await draft(case, model, objections=OBJECTIONS if round_two else [])
    await validate(case, REWORDED, model)
    first, second = ("".join(f"<|{m['role']}|>{m['content']}" for m in chat["messages"]) for chat in server.chats)
    return first, second


@pytest.mark.parametrize("case", [CASE, Case(ASKED, single(ASKED), CASE.evidence)], ids=["parts", "lookup"])
async def test_over_the_same_evidence_all_is_shared_up_to_the_task_in_both_rounds(case: Case) -> None:
    prompts = [*await sent(case), *await sent(case, round_two=True)]
    common = shared(*prompts)
    last = question_block(ASKED) if len(case.plan.steps) == 1 else "Who sells bread?\n</part>"
    assert common.rstrip().endswith(last)
    assert common.startswith(f"<|system|>{SYSTEM}\n\n{synthesizer.PROMPT.system}<|user|><source ")


async def test_the_evidence_stands_in_the_order_of_its_labels_before_the_question() -> None:
    drafted, judged = await sent(CASE)
    for prompt in (drafted, judged):
        places = [prompt.index(word) for word in ('id="E1"', 'id="E2"', "<question>", 'id="q1"', 'id="q2"')]
        assert places == sorted(places)


@pytest.mark.parametrize("template", [synthesizer.PROMPT, validator.PROMPT])
def test_the_rules_of_an_answer_are_shared_between_questions_that_have_no_evidence_in_common(
    template: Template,
) -> None:
    other = Case("Who?", single("Who?"), [evidence("Bob sells bread.", "bob.txt")])
    common = shared(*(whole(case_messages(template, case)) for case in (CASE, other)))
    assert common == f'<|system|>{SYSTEM}\n\n{synthesizer.PROMPT.system}<|human|><source id="E1" doc="'


@pytest.mark.parametrize("template", [router.PROMPT, planner.PROMPT])
def test_before_there_is_evidence_all_but_the_question_is_shared_between_questions(template: Template) -> None:
    prompts = [whole(render(template, system=SYSTEM, blocks=[question_block(asked)])) for asked in ("Who?", "When?")]
    assert template.system in shared(*prompts)
    assert shared(*prompts).startswith(f"<|system|>{SYSTEM}")


@pytest.mark.parametrize(
    ("schema", "template"),
    [
        (Choice, router.PROMPT),
        (Completed, router.PROMPT),
        (Plan, planner.PROMPT),
        (Draft, synthesizer.PROMPT),
        (Judgements, validator.PROMPT),
    ],
)
def test_a_prompt_names_what_its_reply_holds_since_most_servers_show_the_model_no_schema(
    schema: type[BaseModel], template: Template
) -> None:
    described = response_format(schema, "task")["json_schema"]["schema"]
    parts = [described, *described.get("$defs", {}).values()]
    words = f"{template.system} {template.task}".casefold()
    named = {key for part in parts for key in part["properties"]} - {"id", "judgements"}
    assert {key for key in named if key not in words} == set()
    assert not any("description" in text for text in (part | part["properties"] for part in parts))
