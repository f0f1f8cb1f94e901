"""Watched folders: what is noted, what is updated and said, and that the system's own events arrive."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

import pytest

from infra.errors import StoreError, StoreLocked
from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.tools.words import WordEmbedder
from tools import ingest_watch
from tools.ingest import ingest
from tools.ingest_report import IngestReport
from tools.ingest_scan import Failure
from tools.ingest_watch import Pending, Watcher, keep_in_step

NOTHING = IngestReport(0, 0, 0, 0, 3, 3, 0, 0.1, ())
ONE_CHANGED = IngestReport(0, 1, 0, 0, 2, 3, 1, 0.1, ())


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


class Updates:
    """Answers with the given reports, one after the other, and closes what is pending after the last."""

    def __init__(self, pending: Pending, *answers: IngestReport | Exception | Callable[[], IngestReport]) -> None:
        self.pending = pending
        self.answers = list(answers)
        self.asked: list[list[Path]] = []

    def __call__(self, paths: list[Path]) -> IngestReport:
        self.asked.append(paths)
        answer = self.answers.pop(0)
        if not self.answers:
            self.pending.close()
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, IngestReport) else answer()


def run(pending: Pending, *answers: IngestReport | Exception | Callable[[], IngestReport]) -> tuple[Updates, list[str]]:
    updates, lines = Updates(pending, *answers), list[str]()

    def show(report: IngestReport) -> None:
        lines.extend([*(f"not read: {failure.path}" for failure in report.failed), str(report)])

    keep_in_step(pending, updates, show, lines.append)
    return updates, lines


def test_a_burst_of_events_is_one_update(docs: Path) -> None:
    pending = Pending([str(docs)])
    for number in range(10_000):
        pending.note([f"{docs}/{number}.txt"])
    updates, lines = run(pending, ONE_CHANGED)
    assert (updates.asked, lines) == ([[docs]], [str(ONE_CHANGED)])


def test_events_that_come_during_an_update_bring_one_more(docs: Path) -> None:
    pending = Pending([str(docs)])
    pending.note_all()

    def busy() -> IngestReport:
        for number in range(10_000):
            pending.note([f"{docs}/{number}.txt"])
        return ONE_CHANGED

    updates, lines = run(pending, busy, NOTHING)
    assert (updates.asked, lines) == ([[docs], [docs]], [str(ONE_CHANGED)])


def test_only_the_paths_that_events_concern_are_updated_while_they_are_there(docs: Path, tmp_path: Path) -> None:
    given = [str(docs), str(tmp_path / "other"), str(tmp_path / "gone")]
    (tmp_path / "other").mkdir()
    pending = Pending(given)
    pending.note([f"{tmp_path}/elsewhere/x.txt"])
    pending.note([f"{tmp_path}/gone/x.txt"])
    pending.note([f"{tmp_path}/other/x.txt"])
    assert run(pending, NOTHING)[0].asked == [[tmp_path / "other"]]


def test_an_update_that_fails_is_said_and_the_next_one_goes_on(docs: Path) -> None:
    pending = Pending([str(docs)])
    pending.note_all()

    def again() -> IngestReport:
        pending.note_all()
        return NOTHING

    faults = (StoreLocked("process 7 is ingesting"), again, StoreError("the disk is full"))
    updates, lines = run(pending, *faults)
    assert len(updates.asked) == 3
    assert lines == ["process 7 is ingesting", "the disk is full"]
    failing = Pending([str(docs)])
    failing.note_all()
    assert run(failing, OSError(5, "Input/output error"))[1] == ["[Errno 5] Input/output error"]


def test_a_file_that_cannot_be_read_is_said_once_until_it_could_be(docs: Path) -> None:
    broken = IngestReport(0, 0, 0, 0, 3, 3, 0, 0.1, (Failure(f"{docs}/x.pdf", "the PDF is broken"),))
    pending = Pending([str(docs)])
    pending.note_all()

    def then(report: IngestReport) -> Callable[[], IngestReport]:
        def noted() -> IngestReport:
            pending.note_all()
            return report

        return noted

    lines = run(pending, then(broken), then(broken), then(NOTHING), then(broken), NOTHING)[1]
    assert lines == [f"not read: {docs}/x.pdf", str(broken)] * 2


def test_the_error_of_the_watcher_ends_the_updates(docs: Path) -> None:
    pending = Pending([str(docs)])
    pending.close(StoreError("no more events"))
    with pytest.raises(StoreError, match="no more events"):
        run(pending, NOTHING)


Batch = set[tuple[int, str]]


class Source:
    """Stands in for the system: gives what is put, and an empty batch when there is nothing."""

    def __init__(self) -> None:
        self.batches: SimpleQueue[Batch] = SimpleQueue()
        self.watched: SimpleQueue[tuple[str, ...]] = SimpleQueue()

    def __call__(self, *paths: str, stop_event: Event, recursive: bool, **_: object) -> Iterator[Batch]:
        self.watched.put((*paths, "recursive") if recursive else paths)
        while not stop_event.is_set():
            yield self.batches.get()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    made = Source()
    monkeypatch.setattr(ingest_watch, "watch", made)
    monkeypatch.setattr(ingest_watch, "BEAT_MS", 10)
    return made


def ended(watcher: Watcher, source: Source) -> None:
    watcher._stop.set()
    source.batches.put(set())


def test_everything_is_looked_at_once_the_system_watches(docs: Path, source: Source) -> None:
    pending = Pending([str(docs)])
    with Watcher([str(docs)], pending, print) as watcher:
        source.batches.put(set())
        assert pending.take() == [str(docs)]
        assert source.watched.get() == (str(docs), "recursive")
        ended(watcher, source)


def test_saving_by_renaming_is_an_event_and_hidden_files_and_leftovers_are_none(docs: Path, source: Source) -> None:
    pending = Pending([str(docs)])
    with Watcher([str(docs)], pending, print) as watcher:
        source.batches.put(set())
        pending.take()
        for name in (".git/index", "a/.x.swp", "x.md~", "~$x.docx", "#x.md#", "__pycache__/x.pyc"):
            source.batches.put({(2, f"{docs}/{name}")})
        source.batches.put({(3, f"{docs}/.x.tmp"), (1, f"{docs}/x.md")})
        assert pending.take() == [str(docs)]
        ended(watcher, source)
    pending.close()
    assert pending.take() == []


def test_a_single_file_is_watched_through_its_folder(docs: Path, source: Source) -> None:
    file = docs / "x.md"
    file.write_text("Words.")
    pending = Pending([str(file)])
    with Watcher([str(file)], pending, print) as watcher:
        source.batches.put(set())
        pending.take()
        assert source.watched.get() == (str(docs),)
        source.batches.put({(1, f"{docs}/neighbour.md")})
        source.batches.put({(3, str(file)), (1, str(file))})
        assert pending.take() == [str(file)]
        ended(watcher, source)


def test_a_folder_that_vanishes_is_said_waited_for_and_looked_at_again(docs: Path, source: Source) -> None:
    said: SimpleQueue[str] = SimpleQueue()
    pending = Pending([str(docs)])
    with Watcher([str(docs)], pending, said.put) as watcher:
        source.batches.put(set())
        pending.take()
        source.watched.get()
        docs.rmdir()
        source.batches.put({(3, str(docs))})
        assert said.get() == f"{docs} is gone; what was read of it is kept until it is back"
        docs.mkdir()
        source.batches.put(set())
        assert source.watched.get() == (str(docs), "recursive")
        assert pending.take() == [str(docs)]
        ended(watcher, source)
    assert said.empty()


def test_a_system_that_cannot_watch_says_what_helps(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Iterator[Batch]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest_watch, "watch", refuse)
    pending = Pending([str(docs)])
    with (
        Watcher([str(docs)], pending, print),
        pytest.raises(Exception, match=r"max_user_watches\), or set WATCHFILES_"),
    ):
        pending.take()


def saved(path: Path, text: str) -> None:
    """Write a file as an editor does: it is there whole, and at once."""
    (path.parent / f".{path.name}.new").write_text(text)
    (path.parent / f".{path.name}.new").rename(path)


def test_what_is_written_into_a_watched_folder_is_found(
    docs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_watch, "BEAT_MS", 100)
    embedder, shown, said = WordEmbedder(), SimpleQueue[IngestReport](), SimpleQueue[str]()
    pending = Pending([str(docs)])
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:

        def update(paths: Sequence[Path]) -> IngestReport:
            return ingest(index, embedder, paths, settings=IngestSettings())

        thread = Thread(target=keep_in_step, args=(pending, update, shown.put, said.put), daemon=True)
        with Watcher([str(docs)], pending, said.put):
            thread.start()
            saved(docs / "a.md", "First words.")
            assert shown.get(timeout=60).added == 1
            saved(docs / "a.md", "Other words, saved by an editor.")
            assert shown.get(timeout=60).changed == 1
            assert index.text_named("a.md") == "Other words, saved by an editor."
            docs.rename(docs.with_name("away"))
            assert said.get(timeout=60).startswith(f"{docs} is gone")
            assert index.counts().documents == 1
            back = docs.with_name("back")
            back.mkdir()
            saved(back / "b.md", "New words.")
            back.rename(docs)
            assert shown.get(timeout=60).removed == 1
        pending.close()
        thread.join(60)
        assert [document.doc for document in index.documents()] == ["b.md"]
