"""The metrics say what the figures say, under names that carry their units."""

from dataclasses import fields, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.cache.calls_file import CallFigures
from infra.cache.metrics import Figures, exposition, registry_of
from infra.cache.records import Stats

STATS = Stats(*range(1, len(fields(Stats)) + 1))
CALLS = {"call": CallFigures(1, 2, 3, 4, 5.5, 6, 7), "search": CallFigures(8, 9, 0, 0, 0.25, 10, 11)}
OF_STATS = {
    "answers": ("docmind_answer_cache_answers", {}),
    "hits": ("docmind_answer_cache_decisions_total", {"outcome": "hit"}),
    "nears": ("docmind_answer_cache_decisions_total", {"outcome": "near"}),
    "misses": ("docmind_answer_cache_decisions_total", {"outcome": "miss"}),
    "offs": ("docmind_answer_cache_decisions_total", {"outcome": "off"}),
    "stored": ("docmind_answer_cache_offered_total", {"result": "stored"}),
    "refused": ("docmind_answer_cache_offered_total", {"result": "refused"}),
    "gone": ("docmind_answer_cache_removed_total", {"reason": "gone"}),
    "outdated": ("docmind_answer_cache_removed_total", {"reason": "outdated"}),
    "expired": ("docmind_answer_cache_removed_total", {"reason": "expired"}),
    "evicted": ("docmind_answer_cache_removed_total", {"reason": "evicted"}),
    "cleared": ("docmind_answer_cache_removed_total", {"reason": "cleared"}),
    "saved_tokens": ("docmind_answer_cache_saved_tokens_total", {}),
    "saved_seconds": ("docmind_answer_cache_saved_seconds_total", {}),
    "audited": ("docmind_answer_cache_audited_total", {}),
    "wrong": ("docmind_answer_cache_wrong_total", {}),
}


def shown(figures: Figures) -> dict[str, float]:
    """Each sample of the text format by its name and labels."""
    families = text_string_to_metric_families(exposition(registry_of(lambda: figures)))
    return {_named(one.name, one.labels): one.value for family in families for one in family.samples}


@pytest.mark.parametrize("field", [field.name for field in fields(Stats) if field.name != "megabytes"])
def test_every_figure_of_the_answers_is_a_metric(field: str) -> None:
    assert shown(Figures(STATS, {}))[_named(*OF_STATS[field])] == getattr(STATS, field)


def test_sizes_are_in_bytes() -> None:
    figures = Figures(replace(STATS, megabytes=0.005107), CALLS)
    assert shown(figures)["docmind_answer_cache_size_bytes"] == 5_107
    assert shown(figures)[_named("docmind_call_cache_size_bytes", {"kind": "search"})] == 11


@pytest.mark.parametrize("kind", CALLS)
def test_every_figure_of_the_calls_is_a_metric_by_kind(kind: str) -> None:
    samples = shown(Figures(STATS, CALLS))
    found = [
        samples[_named(f"docmind_call_cache_{name}", {"kind": kind})]
        for name in (
            *("hits_total", "misses_total", "saved_prompt_tokens_total", "saved_completion_tokens_total"),
            *("saved_seconds_total", "entries", "size_bytes"),
        )
    ]
    assert found == [getattr(CALLS[kind], field.name) for field in fields(CallFigures)]


def test_every_metric_says_what_it_is_and_a_counter_ends_in_total() -> None:
    families = list(registry_of(lambda: Figures(STATS, CALLS)).collect())
    assert all(family.documentation.endswith(".") for family in families)
    assert {family.type for family in families} == {"counter", "gauge"}
    counters = {one.name for family in families if family.type == "counter" for one in family.samples}
    assert all(name.endswith("_total") for name in counters)


def test_a_registry_reads_anew_for_each_scrape_and_not_before() -> None:
    read: list[Figures] = []

    def figures() -> Figures:
        read.append(Figures(Stats(answers=len(read)), {}))
        return read[-1]

    registry = registry_of(figures)
    assert read == []
    assert "docmind_answer_cache_answers 0.0" in exposition(registry)
    assert "docmind_answer_cache_answers 1.0" in exposition(registry)


def _named(name: str, labels: dict[str, str]) -> str:
    return name + "".join(f",{key}={value}" for key, value in sorted(labels.items()))
