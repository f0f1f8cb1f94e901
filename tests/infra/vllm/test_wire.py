"""Questions to a server: bounded, said on one line, without the key."""

import httpx2
import pytest
from pydantic import BaseModel, SecretStr

from infra.llm.endpoint import Transports
from infra.vllm import wire
from infra.vllm.wire import Answer, Server


class Told(BaseModel):
    value: int


def server(handler: httpx2.MockTransport, *, base_url: str = "http://127.0.0.1:8000/v1", key: str = "EMPTY") -> Server:
    return Server(base_url, SecretStr(key), transports=Transports(handler, httpx2.AsyncHTTPTransport()))


@pytest.mark.parametrize("base_url", ["http://h:1/v1", "http://h:1", "http://h:1/", "http://h:1/v1/"])
def test_the_address_may_end_in_v1_or_not(base_url: str):
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(200, json={"value": 1})

    one = server(httpx2.MockTransport(answer), base_url=base_url)
    assert one.get("/v1/models").read(Told) == Told(value=1)
    assert one.get("/health").ok
    assert seen == ["http://h:1/v1/models", "http://h:1/health"]


@pytest.mark.parametrize(("key", "sent"), [("EMPTY", None), ("a-key", "Bearer a-key")])
def test_a_key_is_sent_where_there_is_one(key: str, sent: str | None):
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.headers.get("authorization") == sent
        return httpx2.Response(200)

    assert server(httpx2.MockTransport(answer), key=key).get("/health").ok


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"error": {"message": "The model `x` does not exist."}}', "The model `x` does not exist."),
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b"<html>\x1b[2J</html>", "<html> [2J</html>"),
        (b'{"error": {"message": "a-key is wrong"}}', "*** is wrong"),
        (b"[" * 100_000, "[" * 239 + "…"),
        (b"", ""),
    ],
)
def test_a_refusal_is_said_in_the_servers_words_on_one_line(content: bytes, words: str):
    answer = server(httpx2.MockTransport(lambda _: httpx2.Response(400, content=content)), key="a-key").get("/x")
    assert (answer.status, answer.ok, answer.words) == (400, False, words)
    assert answer.read(Told) is None


def test_a_server_that_is_not_there_is_an_answer_without_a_status():
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    answer = server(httpx2.MockTransport(refuse)).get("/health")
    assert (answer.status, answer.ok) == (0, False)
    assert "refused" in answer.words


def test_an_answer_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 1_000)
    answer = server(httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"x" * 2_000))).get("/metrics")
    assert answer == Answer(0, words="more than 1,000 bytes")


def test_a_redirect_is_not_followed():
    seen: list[str] = []

    def redirect(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.host)
        return httpx2.Response(302, headers={"location": "http://elsewhere.invalid/"})

    assert server(httpx2.MockTransport(redirect)).get("/health").status == 302
    assert seen == ["127.0.0.1"]


@pytest.mark.parametrize("content", [b"", b"null", b'{"value": "x"}', b"{", b"\xff"])
def test_what_is_not_of_the_shape_is_none(content: bytes):
    assert Answer(200, content).read(Told) is None


def test_a_mistake_of_ours_is_not_taken_for_the_servers():
    def broken(_: httpx2.Request) -> httpx2.Response:
        raise MemoryError

    with pytest.raises(MemoryError):
        server(httpx2.MockTransport(broken)).get("/health")
