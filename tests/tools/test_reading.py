"""Reading with bounds: slow, hungry and crashing files are refused, and the next one is read."""

import errno
import io
import json
import logging
import os
import resource
import signal
import sys
import warnings
from pathlib import Path

import pytest

from infra.errors import ConfigurationError, DocumentError
from infra.settings import IngestSettings
from tests.tools.files import pdf_bytes, zip_bomb
from tests.tools.samples import every_format, xlsx_bytes
from tools import reading, reading_helper
from tools.readers import plain
from tools.reading import Reading

SLOW_HELPER = "tests.tools.slow_helper"


def settings(max_file_mb: float = 100, file_seconds: float = 60, reader_memory_mb: int = 1024) -> IngestSettings:
    return IngestSettings(max_file_mb=max_file_mb, file_seconds=file_seconds, reader_memory_mb=reader_memory_mb)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text("<h1>Title</h1><p>Text")
    (tmp_path / "a.pdf").write_bytes(pdf_bytes(["A page."]))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-")
    (tmp_path / "a.txt").write_text("Plain.")
    return tmp_path


def test_every_format_is_read_by_one_helper_process(files: Path) -> None:
    with Reading(settings()) as reader:
        assert reader.read(files / "a.txt", 6).text == "Plain."
        assert reader._process is None
        assert reader.read(files / "a.html", 9).text == "Title\n\nText"
        first = reader._process
        with pytest.raises(DocumentError, match="the PDF is broken"):
            reader.read(files / "broken.pdf", 5)
        assert reader.read(files / "a.pdf", 9).sections[0].page == 1
        assert reader._process is first
    assert first is not None
    assert first.returncode is not None


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"it has 2.0 MB, at most 1.5 MB are read; DOCMIND_INGEST__MAX_FILE_MB"):
        Reading(settings(max_file_mb=1.5)).read(tmp_path / "not-there.pdf", 2_000_000)


def test_a_missing_file_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    for name in ("gone.pdf", "gone.txt"):
        with pytest.raises(FileNotFoundError), Reading(settings()) as reader:
            reader.read(tmp_path / name, 1)


def test_a_zip_bomb_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "a.docx", 30_000_000)
    refused = "it unpacks to 30 MB or more, at most 4 MB are read; DOCMIND_INGEST__MAX_FILE_MB decides"
    with Reading(settings(max_file_mb=1)) as reader, pytest.raises(DocumentError, match=refused):
        reader.read(tmp_path / "a.docx", (tmp_path / "a.docx").stat().st_size)


def test_a_file_that_takes_too_long_or_crashes_the_helper_is_refused_and_the_next_is_read(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reading(settings(file_seconds=1.5)) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(reading, "HELPER", SLOW_HELPER)
            with pytest.raises(DocumentError, match=r"took more than 1.5 s; DOCMIND_INGEST__FILE_SECONDS decides"):
                reader.read(files / "a.pdf", 9)
            # a busy machine needs its time to load a reader
            reader._seconds = 60.0
            with pytest.raises(DocumentError, match="reading it crashed the reader"):
                reader.read(files / "a.html", 9)
        assert reader.read(files / "a.html", 9).title == "Title"


def test_a_file_that_takes_too_much_memory_is_refused_and_the_next_is_read(files: Path) -> None:
    corners = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    (files / "wide.xlsx").write_bytes(xlsx_bytes({"Wide": corners}))
    (files / "long.json").write_text("[" + "1234567," * 2_000_000 + "1]")
    with Reading(settings(reader_memory_mb=256)) as reader:
        for name, reason in (
            ("wide.xlsx", "reading it crashed the reader, or took more than 256 MB of memory"),
            ("long.json", "reading it takes more than 256 MB of memory"),
        ):
            with pytest.raises(DocumentError, match=f"{reason}; DOCMIND_INGEST__READER_MEMORY_MB decides"):
                reader.read(files / name, 9)
            assert reader.read(files / "a.html", 9).title == "Title"


def test_what_earlier_files_left_in_memory_is_no_fault_of_a_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELPER", SLOW_HELPER)
    (files / "a.json").write_text("[1]")
    with Reading(settings()) as reader:
        for _ in range(3):
            assert reader.read(files / "a.json", 3).text == "[0]: 1"


def test_every_format_can_be_read_in_the_least_memory_that_may_be_set(tmp_path: Path) -> None:
    with Reading(settings(reader_memory_mb=256)) as reader:
        for suffix, data in every_format(tmp_path).items():
            path = tmp_path / f"good{suffix}"
            path.write_bytes(data)
            assert reader.read(path, len(data)).text


def test_long_texts_are_read_by_the_helper(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("Words and words.\n" * 100_000)
    with Reading(settings()) as reader:
        assert len(reader.read(path, path.stat().st_size).text) == path.stat().st_size
        assert reader._process is not None


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(DocumentError, match="it is not a file any more"), Reading(settings()) as reader:
        reader.read(tmp_path / "a.txt", 1)


def test_a_helper_that_died_between_files_is_replaced(files: Path) -> None:
    with Reading(settings()) as reader:
        reader.read(files / "a.html", 9)
        assert reader._process is not None
        reader._process.kill()
        reader._process.wait()
        assert reader.read(files / "a.html", 9).text == "Title\n\nText"


def test_a_helper_whose_owner_is_gone_ends_by_itself(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELPER", SLOW_HELPER)
    with Reading(settings(file_seconds=0.2)) as reader:
        helper = reader._started()
        assert helper.stdin
        helper.stdin.write(json.dumps({"kind": "pdf", "path": str(files / "a.pdf"), "max_bytes": 9}).encode() + b"\n")
        helper.stdin.flush()  # nobody waits, nobody keeps the time
        assert helper.wait(60) == -signal.SIGALRM


def test_no_code_of_the_folder_it_was_started_in_is_run(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "pypdf.py").write_text("raise SystemExit")
    (files / "tools").mkdir()
    (files / "tools" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.chdir(files)
    with Reading(settings()) as reader:
        assert reader.read(files / "a.pdf", 9).text == "A page."


def test_a_helper_that_does_not_start_is_no_fault_of_a_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Reading(settings()) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(reading, "HELPER", "tests.tools.no_helper")
            with pytest.raises(ConfigurationError, match=r"does not start; this says why: .* -m tests.tools.no_helper"):
                reader.read(files / "a.html", 9)
            patch.setattr(sys, "executable", str(files / "no-python"))
            with pytest.raises(ConfigurationError, match=r"cannot be started: .*No such file"):
                reader.read(files / "a.html", 9)
        assert reader.read(files / "a.html", 9).title == "Title"


def test_a_failing_disk_is_not_the_fault_of_the_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(plain, "read_plain", failing)
    with Reading(settings()) as reader, pytest.raises(OSError, match="Input/output error"):
        reader.read(files / "a.txt", 6)
    (files / "a.html").unlink()
    with Reading(settings()) as reader, pytest.raises(FileNotFoundError, match="No such file or directory"):
        reader._ask({"kind": "html", "path": str(files / "a.html"), "max_bytes": 9})


def test_the_helper_answers_line_by_line(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [{"kind": "html", "path": str(files / "a.html")}, {"kind": "pdf", "path": str(files / "gone.pdf")}]
    requests = b"".join(json.dumps({**one, "max_bytes": 99}).encode() + b"\n" for one in asked)
    replies = io.BytesIO()
    reading_helper.serve(io.BytesIO(requests), replies, 60)
    first, second = map(json.loads, replies.getvalue().splitlines())
    assert first["text"] == "Title\n\nText"
    assert second == {"error": "No such file or directory", "errno": errno.ENOENT}

    def hungry(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(reading_helper, "read", hungry)
    assert reading_helper.answer({**asked[0], "max_bytes": 9}) == {"hungry": True}


def test_the_helper_refuses_a_document_of_another_format(files: Path) -> None:
    (files / "a.docx").write_bytes(b"no zip")
    asked = {"kind": "docx", "path": str(files / "a.docx"), "max_bytes": 99}
    assert reading_helper.answer(asked) == {"error": "the DOCX is broken: File is not a zip file"}


def test_the_helper_bounds_its_memory_and_keeps_its_replies_apart_from_what_libraries_print(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    requests = json.dumps({"kind": "html", "path": str(files / "a.html"), "max_bytes": 99}).encode() + b"\n"
    with (files / "replies").open("wb") as replies, monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(resource, "setrlimit", lambda which, limits: done.append((which, limits)))
        patch.setattr(os, "dup", lambda _: os.open(files / "replies", os.O_WRONLY))
        patch.setattr(os, "dup2", lambda old, new: done.append((old, new)))
        patch.setattr(logging, "disable", lambda: None)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(requests)))
        replies.flush()
        reading_helper.main(123, 60)
    assert done == [(resource.RLIMIT_AS, (123, 123)), (2, 1)]
    ready, reply = (files / "replies").read_bytes().splitlines()
    assert (ready, json.loads(reply)["title"]) == (b"ready", "Title")
