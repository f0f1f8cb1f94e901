"""Roots, scopes and names."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.store.roots import (
    contains,
    document_name,
    outermost,
    relative,
    root_names,
    root_of,
    scope_id,
    scopes_of,
    wanted_scopes,
)

PARTS = st.lists(st.sampled_from(["a", "b", "docs", "x y"]), min_size=1, max_size=4)
PATHS = PARTS.map(lambda parts: "/" + "/".join(parts))


def test_a_path_contains_itself_and_what_lies_under_it_but_not_its_namesakes() -> None:
    assert contains("/a", "/a")
    assert contains("/a", "/a/b")
    assert contains("/", "/a")
    assert not contains("/a", "/ab")


def test_roots_inside_other_roots_are_none() -> None:
    assert outermost(["/a/b", "/c", "/a", "/c", "/a/b/d"]) == ["/a", "/c"]


@given(st.lists(PATHS, max_size=6))
@settings(max_examples=50)
def test_outermost_roots_contain_all_and_not_each_other(paths: list[str]) -> None:
    kept = outermost(paths)
    assert all(any(contains(root, path) for root in kept) for path in paths)
    assert not [(a, b) for a in kept for b in kept if a != b and contains(a, b)]


def test_thousands_of_roots_in_play_take_no_time() -> None:
    roots = [f"/docs/{number % 7}/note-{number}.md" for number in range(20_000)]
    started = time.thread_time()
    assert len(outermost([*roots, "/docs/0"])) == 20_000 - 2_858 + 1
    assert all(root_of(root, frozenset(roots)) == root for root in roots[:99])
    assert [document_name(root, roots) for root in roots[:99]] == [f"note-{number}.md" for number in range(99)]
    assert len(wanted_scopes(roots, roots)) == 20_000
    assert time.thread_time() - started < 3


@given(st.lists(PATHS, min_size=1, max_size=6, unique=True))
@settings(max_examples=50)
def test_the_names_of_roots_tell_them_apart(roots: list[str]) -> None:
    known = outermost(roots)
    names = root_names(known)
    assert len(set(names.values())) == len(known)
    assert all(root.endswith(f"/{name}") for root, name in names.items())


def test_one_root_in_play_gives_relative_names() -> None:
    assert document_name("/a/docs/x/y.md", ["/a/docs"]) == "x/y.md"
    assert document_name("/a/docs/y.md", ["/a/docs/y.md"]) == "y.md"


def test_several_roots_in_play_begin_names_with_the_roots_name_made_unique() -> None:
    roots = ["/a/docs", "/b/docs", "/c/notes", "/c/read.md"]
    assert root_names(roots) == {
        "/a/docs": "a/docs",
        "/b/docs": "b/docs",
        "/c/notes": "notes",
        "/c/read.md": "read.md",
    }
    assert document_name("/a/docs/x.md", roots) == "a/docs/x.md"
    assert document_name("/c/notes/x/y.md", roots) == "notes/x/y.md"
    assert document_name("/c/read.md", roots) == "read.md"


def test_a_root_inside_another_one_in_play_does_not_change_names() -> None:
    assert document_name("/a/docs/x.md", ["/a", "/a/docs"]) == "docs/x.md"


def test_a_document_under_no_root_keeps_its_path() -> None:
    assert document_name("/q/x.md", ["/a"]) == "/q/x.md"


def test_the_whole_disk_can_be_a_root() -> None:
    assert relative("/", "/x.md") == "x.md"
    assert root_names(["/", "/a"]) == {"/": "root", "/a": "a"}


@given(st.lists(PATHS, min_size=1, max_size=5))
@settings(max_examples=50)
def test_names_of_roots_are_unique(paths: list[str]) -> None:
    names = root_names(outermost(paths))
    assert len(set(names.values())) == len(names)


def test_the_scopes_of_a_document_end_at_its_root() -> None:
    assert scopes_of("/a/docs", "/a/docs/x/y.md") == tuple(
        scope_id(path) for path in ("/a/docs/x/y.md", "/a/docs/x", "/a/docs")
    )
    assert scopes_of("/a/y.md", "/a/y.md") == (scope_id("/a/y.md"),)


def test_a_search_above_a_root_finds_the_root() -> None:
    assert wanted_scopes(["/a", "/b/x"], ["/a/docs", "/a/notes", "/b"]) == [
        scope_id(path) for path in ("/a", "/b/x", "/a/docs", "/a/notes")
    ]


@given(st.lists(PATHS, min_size=1, max_size=4), st.lists(PATHS, min_size=1, max_size=3), PATHS)
@settings(max_examples=50)
def test_a_search_reaches_a_document_exactly_when_it_lies_under_a_wanted_path(
    roots: list[str], wanted: list[str], path: str
) -> None:
    known = outermost(roots)
    for root in known:
        if contains(root, path):
            reached = set(wanted_scopes(wanted, known)) & set(scopes_of(root, path))
            assert bool(reached) == any(contains(scope, path) for scope in wanted)
