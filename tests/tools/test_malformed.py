"""Three hundred malformed files: none crashes or hangs the reading; each is read, or refused with a one-line reason."""

import io
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import DocumentError
from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.tools.samples import assert_well_divided, every_format, zipped
from tests.tools.words import WordEmbedder
from tools.extracted import Extracted
from tools.ingest import ingest
from tools.reading import Reading

FILES = 300
FILE_SECONDS = 10.0
START_SECONDS = 10.0
"""What a busy machine may take to start another reader."""
REASON_CHARS = 400

Mutation = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def truncated(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def doubled(data: bytes, rng: random.Random) -> bytes:
    """A piece stands there many times."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randint(1, 400))
    return data[:end] + data[start:end] * rng.randint(1, 200) + data[end:]


def holed(data: bytes, rng: random.Random) -> bytes:
    """A stretch is overwritten with zeros or noise."""
    start = rng.randrange(len(data))
    length = min(len(data) - start, rng.randint(1, 600))
    return data[:start] + (rng.randbytes(length) if rng.random() < 0.5 else bytes(length)) + data[start + length :]


def repacked(data: bytes, rng: random.Random) -> bytes:
    """One member of an archive is malformed, and the archive itself is whole; what is no archive is flipped."""
    if not data.startswith(b"PK"):
        return flipped(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    content = members[name]
    change = rng.choice([flipped, truncated, doubled, holed])
    members[name] = change(content, rng) if isinstance(content, bytes) and content else b"<"
    if rng.random() < 0.2:
        del members[name]
    return zipped(members)


MUTATIONS: tuple[Mutation, ...] = (flipped, truncated, doubled, holed, repacked)


@pytest.fixture(scope="module")
def malformed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files, the same on every run: every format by every mutation, some under another's suffix."""
    folder = tmp_path_factory.mktemp("malformed")
    samples = every_format(folder)
    suffixes = sorted(samples)
    paths: list[Path] = []
    for number in range(FILES):
        rng = random.Random(number)
        suffix = suffixes[number % len(suffixes)]
        data = MUTATIONS[number // len(suffixes) % len(MUTATIONS)](samples[suffix], rng)
        shown = rng.choice(suffixes) if rng.random() < 0.2 else suffix
        paths.append(folder / f"{number}{suffix}{shown}")
        paths[-1].write_bytes(data)
    return paths


@pytest.mark.prove
def test_three_hundred_malformed_files_are_each_read_or_refused_with_a_reason(malformed: list[Path]) -> None:
    refused: dict[Path, str] = {}
    seconds: list[float] = []
    with Reading(IngestSettings(file_seconds=FILE_SECONDS)) as reading:
        for path in malformed:
            started = time.perf_counter()
            try:
                extracted = reading.read(path, path.stat().st_size)
            except DocumentError as error:
                refused[path] = str(error)
            else:
                assert_well_divided(extracted)
            seconds.append(time.perf_counter() - started)
    assert len(seconds) == FILES
    assert max(seconds) < FILE_SECONDS + START_SECONDS
    assert [reason for reason in refused.values() if "\n" in reason or not 0 < len(reason) <= REASON_CHARS] == []
    assert 0.2 * FILES < len(refused) < 0.8 * FILES


@pytest.mark.prove
def test_each_malformed_file_is_in_the_index_or_in_the_report_with_its_reason(
    malformed: list[Path], data_dir: Path
) -> None:
    embedder, bounds = WordEmbedder(), IngestSettings(file_seconds=FILE_SECONDS)
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        report = ingest(index, embedder, malformed, settings=bounds)
        read = {document.path for document in index.documents()}
    refused = {failure.path for failure in report.failed if 0 < len(failure.error) <= REASON_CHARS}
    assert (report.added, len(report.failed)) == (len(read), len(refused))
    assert read | refused == {str(path) for path in malformed}
    assert read & refused == set()


@pytest.mark.prove
def test_a_good_file_is_read_after_each_malformed_one(malformed: list[Path], tmp_path: Path) -> None:
    good = tmp_path / "good.html"
    good.write_text("<p>Good.")
    with Reading(IngestSettings(file_seconds=FILE_SECONDS)) as reading:
        for path in malformed[::10]:
            outcome: Extracted | str
            try:
                outcome = reading.read(path, path.stat().st_size)
            except DocumentError as error:
                outcome = str(error)
            assert outcome
            assert reading.read(good, 8).text == "Good."
