"""When a kept answer is fresh: all its searches, made again as they were made, bring the same in the same order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.cache.records import Search
from tests.infra.cache.house import COST, Tenant, found, quick, search_of

QUESTION = "Where do cats sleep?"
CATS, DOGS = "cats sleep", "dogs chase"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    """An answer of two searches, and a change that touches neither."""
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    for name in "abc":
        tenant.write(f"{name}.md", f"Cats sleep {name} {name}. Dogs chase {name} {name}.\n")
    decision = tenant.ask(QUESTION)
    searches = [search_of(found(tenant.index, CATS)), replace(search_of(found(tenant.index, DOGS)), context="a word")]
    assert decision.generation is not None
    assert tenant.cache.keep(tenant.asked(QUESTION), "{}", searches, COST, generation=decision.generation) == ""
    tenant.write("birds.md", "Ostriches run.\n")
    yield tenant
    tenant.close()


def asked(one: Tenant, search: Callable[[Search], Search]) -> str:
    return one.cache.ask(one.asked(QUESTION), search).outcome


def test_every_search_is_made_again_as_it_was_made(one: Tenant) -> None:
    made: list[tuple[str, str]] = []

    def search(old: Search) -> Search:
        made.append((old.query, old.context))
        return old

    assert asked(one, search) == "hit"
    assert made == [(CATS, ""), (DOGS, "a word")]


@pytest.mark.parametrize("changed", [CATS, DOGS])
@pytest.mark.parametrize(
    "other",
    [
        lambda old: replace(old, passages=old.passages[::-1]),
        lambda old: replace(old, passages=old.passages[:-1]),
        lambda old: replace(old, likely=not old.likely),
    ],
)
def test_another_order_fewer_passages_or_another_signal_of_any_search_is_stale(
    one: Tenant, changed: str, other: Callable[[Search], Search]
) -> None:
    assert asked(one, lambda old: other(old) if old.query == changed else old) == "miss"
    assert one.cache.stats().answers == 0


def test_each_state_of_the_documents_is_looked_at(one: Tenant) -> None:
    made: list[str] = []

    def search(old: Search) -> Search:
        made.append(old.query)
        return old

    for name in ("storks", "herons"):
        assert asked(one, search) == "hit"
        one.cache.stats()  # what was noted is written
        assert asked(one, search) == "hit"
        one.write(f"{name}.md", "They wade.\n")
    assert made == [CATS, DOGS] * 2
