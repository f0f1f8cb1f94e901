"""What an agent asks with: its model is opened when it is first asked."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from graph.nodes import LateAsker
from infra.llm.ask import UnreadableReply
from infra.llm.ledger import RemarkKind


class City(BaseModel):
    name: str


async def test_the_model_is_opened_by_the_first_question_and_rules_stand_in_only_where_they_may() -> None:
    opened: list[str] = []
    told: list[RemarkKind] = []

    async def opening() -> BaseChatModel:
        opened.append("model")
        return FakeListChatModel(responses=["?"])

    asker = LateAsker(opening, FakeListChatModel(responses=['{"name": "Lir"}']), lambda kind, _: told.append(kind))
    assert opened == []
    reply = await asker.ask([HumanMessage("Where?")], City, task="city")
    assert (reply.value.name, reply.source, opened) == ("Lir", "rules", ["model"])
    with pytest.raises(UnreadableReply):
        await asker.without_rules().ask([HumanMessage("Where?")], City, task="city")
    assert told == ["repair", "fallback"] * 2
