"""Plans always end: three steps at most, each needing only earlier ones."""

from hypothesis import given
from hypothesis import strategies as st

from agents.planner import MAX_STEPS, Plan, Step, plan, single, sound
from tests.agents.models import scripted

IDS = st.sampled_from(["q1", "q2", "q3", "a", ""])
STEPS = st.builds(Step, id=IDS, question=st.just("Who?"), needs=st.lists(IDS, max_size=4))


@given(st.lists(STEPS, min_size=1, max_size=6))
def test_any_plan_is_made_one_that_ends(steps: list[Step]) -> None:
    made = sound(Plan(steps=steps)).steps
    assert [s.id for s in made] == [f"q{n}" for n in range(1, min(len(steps), MAX_STEPS) + 1)]
    for n, step in enumerate(made):
        assert set(step.needs) <= {s.id for s in made[:n]}


async def test_a_plan_keeps_what_each_step_needs() -> None:
    steps: list[dict[str, object]] = [
        {"id": "a", "question": "Who?", "needs": []},
        {"id": "b", "question": "When?", "needs": ["a", "b"]},
    ]
    model, _ = scripted({"steps": steps})
    assert await plan("Who and when?", model) == Plan(
        steps=[Step(id="q1", question="Who?"), Step(id="q2", question="When?", needs=["q1"])]
    )


async def test_a_plan_in_a_small_models_forms_is_read() -> None:
    model, server = scripted({"steps": [{"id": 1, "question": " Who? "}, {"id": 2, "question": "When?", "needs": 1}]})
    assert await plan("Who and when?", model) == Plan(
        steps=[Step(id="q1", question="Who?"), Step(id="q2", question="When?", needs=["q1"])]
    )
    assert len(server.chats) == 1


async def test_a_plan_of_blank_questions_becomes_a_single_step() -> None:
    blank: dict[str, object] = {"steps": [{"id": "q1", "question": " \n "}]}
    model, _ = scripted(blank, blank)
    assert await plan("Who and when?", model) == single("Who and when?")


async def test_a_plan_far_longer_than_the_question_becomes_a_single_step() -> None:
    model, _ = scripted({"steps": [{"id": "q1", "question": "Who? " * 300}, {"id": "q2", "question": "When?"}]})
    assert await plan("Who and when?", model) == single("Who and when?")


async def test_a_plan_that_cannot_be_read_becomes_a_single_step() -> None:
    model, _ = scripted("no", "no")
    assert await plan("Who and when?", model) == single("Who and when?")
