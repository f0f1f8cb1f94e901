"""Which files are found, and what is said of links, loops and what cannot be looked at."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.errors import ConfigurationError
from tools import ingest_scan
from tools.ingest_scan import FRESH_NS, UNTRUSTED, Failure, Found, given_paths, scan


def old(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(10**18, 10**18))
    return path


def test_files_at_any_depth_are_found_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.md", "a/d/e.csv", ".git/config", "a/.hidden", "__pycache__/x.py"):
        old(tmp_path / name)
    found = scan([tmp_path])
    assert [file.path for file in found.files] == [f"{tmp_path}/{name}" for name in ("a/c.md", "a/d/e.csv", "b.txt")]
    assert found.files[2] == Found(str(tmp_path / "b.txt"), 1, 10**18)
    assert (found.given, found.failed) == ((str(tmp_path),), ())


def test_a_file_that_changed_just_now_has_no_time_that_proves_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = old(tmp_path / "new.txt").stat().st_mtime_ns
    monkeypatch.setattr("tools.ingest_scan.time", SimpleNamespace(time_ns=lambda: now))
    assert scan([tmp_path]).files[0].mtime_ns == UNTRUSTED
    now += FRESH_NS
    assert scan([tmp_path]).files[0].mtime_ns == 10**18


def test_paths_inside_others_are_walked_once_and_files_and_hidden_folders_can_be_given(tmp_path: Path) -> None:
    inner, hidden = old(tmp_path / "a" / "x.txt"), old(tmp_path / ".h" / "y.txt")
    old(tmp_path / "a" / "z.txt")
    assert len(scan([tmp_path / "a", inner]).files) == 2
    found = scan([inner, hidden.parent])
    assert found.given == (str(hidden.parent), str(inner))
    assert [file.path for file in found.files] == [str(hidden), str(inner)]


def test_links_are_followed_when_given_and_never_out_of_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", old(tmp_path / "outside" / "secret.txt")
    old(root / "a" / "x.txt")
    (root / "same.txt").symlink_to(root / "a" / "x.txt")
    (root / "b").symlink_to(root / "a")
    (root / "out").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "a" / "up").symlink_to("..")
    (root / "ring").symlink_to(root / "ring")
    (root / "broken").symlink_to(root / "nowhere")
    (tmp_path / "given").symlink_to(root)
    found = scan([tmp_path / "given"])
    assert [file.path for file in found.files] == [str(root / "a" / "x.txt")]
    loop = "the link is a loop: it leads to a folder that it stands in"
    assert found.failed == (
        Failure(str(root / "a" / "up"), loop),
        Failure(str(root / "broken"), "the link leads nowhere: No such file or directory"),
        Failure(str(root / "loop"), loop),
        Failure(str(root / "out"), f"the link leads out of {root}; give {outside.parent} itself to have it read"),
        Failure(str(root / "ring"), "the link leads nowhere: it goes round in a circle"),
    )


def test_names_that_are_no_text_and_what_is_no_file_are_passed_by(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/bad\xff.txt"
    Path(os.fsdecode(name)).write_text("x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        found = scan([tmp_path])
        with pytest.raises(ConfigurationError, match="is neither a file nor a folder"):
            given_paths([tmp_path / "s"])
    assert found.files == ()
    assert [(Path(f.path).name, f.error) for f in found.failed] == [
        ("bad?.txt", "the name is not valid UTF-8; rename it")
    ]
    with pytest.raises(ConfigurationError, match="the name is not valid UTF-8"):
        given_paths([Path(os.fsdecode(name))])


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old(tmp_path / "a" / "x.txt")
    old(tmp_path / "b.txt")
    listed = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan([tmp_path])
    assert [Path(file.path).name for file in found.files] == ["b.txt"]
    assert found.failed == (Failure(str(tmp_path / "a"), "the folder cannot be listed: Permission denied"),)


@pytest.mark.parametrize("reader", ["scandir", "stat"])
def test_a_given_path_that_fails_just_now_is_an_error_and_nothing_is_thought_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    given = [tmp_path] if reader == "scandir" else [old(tmp_path / "a.txt")]
    monkeypatch.setattr(ingest_scan, "given_paths", lambda paths: [str(path) for path in paths])

    def fail(_: str) -> object:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, reader, fail)
    monkeypatch.setattr(os.path, "isdir", lambda path: path == str(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot be looked at: Stale file handle; nothing was changed"):
        scan(given)


def test_a_link_to_what_is_passed_over_is_reported(tmp_path: Path) -> None:
    old(tmp_path / "..2026" / "a.txt")
    (tmp_path / "a.txt").symlink_to(tmp_path / "..2026" / "a.txt")
    assert scan([tmp_path]).failed == (
        Failure(
            str(tmp_path / "a.txt"),
            f"the link leads to {tmp_path}/..2026/a.txt, which is passed over; give that to have it read",
        ),
    )


def test_what_is_given_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere: No such file or directory; give files or folders"):
        scan([tmp_path, tmp_path / "nowhere"])
    with pytest.raises(ConfigurationError, match="no path was given"):
        scan([])
