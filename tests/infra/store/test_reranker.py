"""A rerank server's scores, in the forms of vLLM's /rerank and /score; a fault is one line that names the setting."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.errors import BackendError
from infra.settings import RerankerSettings
from infra.store.reranker import RerankServer
from tests.loopback import Answered, Asked, Broken, Loopback, serving

TEXTS = ["The mill stands by the river.", "The boiler leaks.", "Roses need water."]
SCORES = [0.02, 0.97, -3.5]


def reranking(asked: Asked) -> Answered:
    """vLLM 0.32 at /v1/rerank: results best first, cut to ``top_n``."""
    order = sorted(range(len(SCORES)), key=lambda n: -SCORES[n])[: asked.body["top_n"]]
    results = [
        {"index": n, "document": {"text": asked.body["documents"][n]}, "relevance_score": SCORES[n]} for n in order
    ]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return Answered({"id": "rerank-1", "model": "BAAI/bge-reranker-v2-m3", "usage": usage, "results": results})


def scoring(_: Asked) -> Answered:
    """vLLM 0.32 at /v1/score."""
    data = [{"index": n, "object": "score", "score": score} for n, score in enumerate(SCORES)]
    return Answered({"id": "embd-1", "object": "list", "created": 1, "model": "m", "data": data, "usage": {}})


def server(loopback: Loopback, **more: Any) -> RerankServer:
    return RerankServer(RerankerSettings.model_validate({"base_url": f"{loopback.url}/v1", **more}))


def test_the_rerank_form_gives_scores_in_the_order_of_the_texts():
    with serving(reranking) as loopback:
        found = server(loopback, model="bge", api_key="sk-1").scores("Does the boiler leak?", TEXTS)
    asked = loopback.requests[0]
    assert found == SCORES
    assert (asked.path, asked.headers["authorization"]) == ("/v1/rerank", "Bearer sk-1")
    assert asked.body == {"model": "bge", "query": "Does the boiler leak?", "documents": TEXTS, "top_n": 3}


def test_the_score_form_gives_the_same():
    with serving(scoring) as loopback:
        assert server(loopback, kind="score").scores("Does the boiler leak?", TEXTS) == SCORES
    assert loopback.requests[0].path == "/v1/score"
    assert loopback.requests[0].body == {"text_1": "Does the boiler leak?", "text_2": TEXTS}


def broken(_: Asked) -> Answered:
    raise Broken


def answers(value: object, status: int = 200) -> Callable[[Asked], Answered]:
    return lambda _: Answered(value, status)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answers({"error": "busy"}, 503), "answered 503"),
        (answers({"detail": "Not Found"}, 404), "answered 404"),
        (answers(b"no JSON"), "answered what cannot be read"),
        (answers([1]), "answered what cannot be read"),
        (answers({"results": [{"index": 0, "relevance_score": 1.0}]}), "gave 1 scores for 3 texts"),
        (answers({"results": [{"index": n + 1, "relevance_score": 1.0} for n in range(3)]}), "gave 3 scores for 3"),
        (answers(json.dumps({"data": [{"index": n, "score": float("nan")} for n in range(3)]}).encode()), "DOCMIND_"),
        (broken, "cannot be reached"),
    ],
)
def test_anything_but_one_number_a_text_is_an_error_that_names_the_server(
    answer: Callable[[Asked], Answered], said: str
):
    with serving(answer) as loopback, pytest.raises(BackendError) as caught:
        server(loopback).scores("q", TEXTS)
    assert said in str(caught.value)
    assert f"the rerank server at {loopback.url}/v1" in str(caught.value)
    assert "DOCMIND_RERANKER__" in str(caught.value)
    assert len(loopback.requests) == 1
