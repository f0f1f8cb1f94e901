"""An ingestion killed at any moment leaves an index that the next run brings to what a fresh build gives."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.settings import IngestSettings, Settings
from infra.store.embeddings import open_minilm
from infra.store.index import Index
from tools.ingest import ingest
from tools.search import Retriever

pytestmark = pytest.mark.prove

ROOT = Path(__file__).parents[2]
KILLS = 16
WORDS = ["mill", "river", "bakery", "loaves", "curtain", "window", "engine", "guard", "token", "cache", "Ann", "Bob"]
QUERIES = ["Who repaired the mill by the river?", "How many loaves does Ann sell?", "What does the guard count?"]


def write_documents(folder: Path, seed: int) -> None:
    """Write 40 small documents, a different dozen of them for each seed."""
    folder.mkdir(exist_ok=True)
    for n in range(40):
        chance = random.Random(f"{n}-{seed if n % 3 == 0 else 0}")
        lines = [" ".join(chance.choices(WORDS, k=12)).capitalize() + "." for _ in range(20)]
        (folder / f"{n:02d}.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "05.txt").unlink() if seed % 2 else None


def what_is_stored(data: Path, root: Path) -> object:
    """Return the documents and what three searches bring, scores included."""
    settings = Settings(data_dir=data)
    embedder = open_minilm(data)
    with Index.open(settings, embedder) as index:
        found = [Retriever(index, embedder, settings.retrieval).search(query).passages for query in QUERIES]
        listed = [(document.doc, document.digest, document.chunks) for document in index.documents([str(root)])]
    hits = [[(p.id, p.doc, p.start, p.end, round(p.score, 4)) for p in passages] for passages in found]
    return listed, hits


def test_after_any_kill_the_next_run_equals_a_fresh_build(tmp_path: Path) -> None:
    documents, data = tmp_path / "documents", tmp_path / "data"
    environment = {**os.environ, "DOCMIND_DATA_DIR": str(data)}
    command = [sys.executable, "-m", "tools.ingest", str(documents)]
    chance = random.Random(7)
    write_documents(documents, 0)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    killed = 0
    for round_number in range(1, KILLS + 1):
        write_documents(documents, round_number)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(1.0, 4.0))
        process.kill()
        killed += process.wait(timeout=30) != 0
    assert killed >= KILLS // 4, "too few runs were still at work when they were killed"
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)

    fresh = tmp_path / "fresh"
    with Index.open(Settings(data_dir=fresh), embedder := open_minilm(fresh)) as index:
        report = ingest(index, embedder, [documents], settings=IngestSettings())
    assert report.failed == ()
    assert what_is_stored(data, documents) == what_is_stored(fresh, documents)
