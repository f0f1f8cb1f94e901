"""A process of its own that works on a shared index: ``python sharing_process.py DATA_DIR NAME``.

It changes a document of its own again and again, says so when the change was acknowledged, and checks each time that
the change is found; it ends when its standard input does. Each line it writes is JSON.
"""

import json
import sys
from pathlib import Path
from threading import Event, Thread

ROOT_FOLDER = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT_FOLDER))

from infra.settings import Settings  # noqa: E402 - the repository is not installed for tests
from infra.store.index import Index  # noqa: E402
from tests.infra.store.samples import ROOT, CountingEmbedder, entry  # noqa: E402

DOCUMENTS = 4


def say(**what: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def word(name: str, number: int) -> str:
    """A word that stands in one version of one document only."""
    return f"{name}v{number}"


def main(data_dir: str, name: str) -> None:
    """Work until standard input ends."""
    stop = Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    Thread(target=watch, daemon=True).start()
    embedder = CountingEmbedder()
    with Index.open(Settings(data_dir=Path(data_dir)), embedder) as index:
        say(opened=True, owns=index.owns)
        number = 0
        while not stop.is_set():
            path = f"{ROOT}/{name}-{number % DOCUMENTS}.md"
            index.change([entry(path, f"{word(name, number)} stands here\nand cats sleep")])
            say(path=path, number=number)
            found = index.sparse([word(name, number)], 9)
            texts = [passage.text for passage in index.passages([hit.chunk_id for hit in found])]
            near = index.dense(embedder.embed(["cats sleep"])[0], 5)
            if texts != [f"{word(name, number)} stands here"] or not near:
                say(wrong=texts, near=len(near), number=number)
                return
            number += 1
    say(closed=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
