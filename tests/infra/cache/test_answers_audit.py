"""A kept answer is compared with a new one now and then; one that was found wrong is not served again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cache.records import Kept
from infra.errors import StoreError
from tests.infra.cache.house import Tenant, quick

QUESTION = "Where do cats sleep?"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    tenant.write("cats.md", "Cats sleep all day.\n")
    tenant.learn(QUESTION)
    yield tenant
    tenant.close()


def served(tenant: Tenant) -> Kept:
    kept = tenant.ask(QUESTION).kept
    assert kept is not None
    return kept


def test_an_answer_found_right_stays(one: Tenant) -> None:
    one.cache.audited(served(one), same=True)
    stats = one.cache.stats()
    assert (stats.answers, stats.audited, stats.wrong, stats.outdated) == (1, 1, 0, 0)
    assert one.answered(QUESTION) is not None


def test_an_answer_found_wrong_is_removed_and_counted(one: Tenant) -> None:
    one.cache.audited(served(one), same=False)
    stats = one.cache.stats()
    assert (stats.answers, stats.audited, stats.wrong, stats.outdated) == (0, 1, 1, 1)
    assert one.ask(QUESTION).outcome == "miss"


def test_the_answer_that_took_its_place_meanwhile_stays(one: Tenant) -> None:
    old = served(one)
    one.cache.clear()
    one.learn(QUESTION)
    one.cache.audited(old, same=False)
    assert one.cache.stats().wrong == 1
    assert one.answered(QUESTION) is not None


def test_who_listens_hears_of_each_audit(one: Tenant) -> None:
    heard: list[tuple[str, bool]] = []
    one.cache.listen(lambda kept, same: heard.append((kept.question, same)))
    one.cache.audited(served(one), same=True)
    one.cache.audited(served(one), same=False)
    assert heard == [(QUESTION, True), (QUESTION, False)]


def test_an_audit_of_a_cache_that_is_off_is_nothing(one: Tenant) -> None:
    kept = served(one)
    one.cache._turn_off(StoreError("the disk is gone"))
    one.cache.audited(kept, same=False)
    one.restart()
    assert one.cache.stats().audited == 0
