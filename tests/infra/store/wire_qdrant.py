"""Qdrant's REST API on a loopback port, over qdrant-client's local mode: what goes over the wire is the real client's.

Only the paths that the store uses. It wants a key when given one.
"""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

from tests.infra.store.local_qdrant import LocalQdrant
from tests.loopback import Answered, Asked, Loopback, serving

_Answer = Callable[[QdrantClient, str, Any], Any]


def _create(client: QdrantClient, name: str, body: Any) -> Any:
    asked = models.CreateCollection.model_validate(body)
    return client.create_collection(name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors)


def _points(client: QdrantClient, name: str, body: Any) -> Any:
    return client.upsert(name, models.PointsList.model_validate(body).points)


def _delete(client: QdrantClient, name: str, body: Any) -> Any:
    return client.delete(name, models.FilterSelector.model_validate(body))


def _query(client: QdrantClient, name: str, body: Any) -> Any:
    asked = models.QueryRequest.model_validate(body)
    return client.query_points(
        name,
        asked.query,
        using=asked.using,
        limit=asked.limit or 10,
        query_filter=asked.filter,
        with_payload=asked.with_payload or False,
    )


def _batch(client: QdrantClient, name: str, body: Any) -> Any:
    return [_query(client, name, one).model_dump(mode="json") for one in body["searches"]]


def _aliases(client: QdrantClient, name: str, body: Any) -> Any:
    actions = TypeAdapter(list[models.AliasOperations]).validate_python(body["actions"])
    return client.update_collection_aliases(actions)


PATHS: dict[tuple[str, str], _Answer] = {
    ("GET", "/collections"): lambda client, name, body: client.get_collections(),
    ("GET", "/aliases"): lambda client, name, body: client.get_aliases(),
    ("POST", "/collections/aliases"): _aliases,
    ("GET", "/collections/*/exists"): lambda client, name, body: {"exists": client.collection_exists(name)},
    ("GET", "/collections/*"): lambda client, name, body: client.get_collection(name),
    ("PUT", "/collections/*"): _create,
    ("DELETE", "/collections/*"): lambda client, name, body: client.delete_collection(name),
    ("PUT", "/collections/*/index"): lambda client, name, body: {"operation_id": 0, "status": "completed"},
    ("PUT", "/collections/*/points"): _points,
    ("POST", "/collections/*/points/delete"): _delete,
    ("POST", "/collections/*/points/query"): _query,
    ("POST", "/collections/*/points/query/batch"): _batch,
    ("POST", "/collections/*/points/count"): lambda client, name, body: client.count(name, exact=True),
}


@contextmanager
def wired(api_key: str = "") -> Generator[Loopback]:
    """Serve one Qdrant."""
    client = LocalQdrant().blocking

    def answer(asked: Asked) -> Answered:
        if api_key and asked.headers.get("api-key") != api_key:
            return Answered(b"Must provide an API key or an Authorization bearer token", 401)
        found = re.fullmatch(r"/collections/(?!aliases$)([^/]+)(/.*)?", asked.path)
        name, pattern = (found[1], f"/collections/*{found[2] or ''}") if found else ("", asked.path)
        try:
            result = PATHS[asked.method, pattern](client, name, asked.body)
        except ValueError as error:
            return Answered({"status": {"error": str(error)}, "time": 0.0}, 404 if "not found" in str(error) else 409)
        shown = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
        return Answered({"result": shown, "status": "ok", "time": 0.0})

    with serving(answer) as server:
        yield server
