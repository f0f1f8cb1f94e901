"""The clients of a back end."""

from infra.llm.endpoint import open_clients
from tests.fakes import ScriptedServer


def test_the_key_does_not_show() -> None:
    clients = open_clients(ScriptedServer().transports, connect_seconds=1, call_seconds=1, api_key="sekrit")
    assert clients.headers == {"Authorization": "Bearer sekrit"}
    assert "sekrit" not in f"{clients!r}{clients}{clients.blocking!r}{clients.awaiting!r}"
