"""A process of many askers over one tenant's cache: what is served is checked against what was written when.

``python -m tests.infra.cache.asker HOME ASKERS ROUNDS``. A line on standard input has them ask, a second one once more:
when the documents change no longer, somebody finds what another one kept.

Documents say their version; the writer notes each version in a file before and after it ingests it, so that an asker
knows which ones may be served: none older than the newest one that was whole when it began to ask, none newer than the
newest one that was begun when it had its answer.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from infra.cache.calls import CALLS_FILE, CallCache
from tests.infra.cache.calls_world import Words
from tests.infra.cache.house import COST, Tenant, answer_of, found, quick, search_of

QUESTIONS = 4


def version_of(answer: str) -> int:
    return max(map(int, re.findall(r"sleep (\d+) hours", answer)))


def noted(home: Path, which: str) -> int:
    return int((home / which).read_text(encoding="utf-8") or "0")


def note(home: Path, which: str, version: int) -> None:
    """In one step: an asker never reads half of it."""
    (home / f"{which}.new").write_text(str(version), encoding="utf-8")
    (home / f"{which}.new").replace(home / which)


class Askers:
    """Those of one process."""

    def __init__(self, home: Path, askers: int, rounds: int) -> None:
        self.home, self.rounds = home, rounds
        self.tenant = Tenant(home)
        self.calls = CallCache(self.tenant.index.folder / CALLS_FILE)
        self.together = Barrier(askers)
        self.hits = self.wrong = self.off = self.made = 0

    def ask(self, number: int) -> None:
        one = self.tenant
        self.together.wait(60)
        for turn in range(self.rounds):
            question = f"How long do cats sleep {(number + turn) % QUESTIONS}"
            least = noted(self.home, "whole")
            decision = one.ask(question)
            self.off += decision.outcome == "off"
            if decision.kept is not None:
                self.hits += 1
                self.wrong += not least <= version_of(decision.kept.answer) <= noted(self.home, "begun")
            elif decision.generation is not None:
                finding = found(one.index, question)
                self.calls.once(f"{question} {answer_of(finding)}", self.work, Words())
                one.cache.keep(
                    one.asked(question), answer_of(finding), [search_of(finding)], COST, generation=decision.generation
                )

    def work(self) -> str:
        self.made += 1
        return "reply"

    def close(self) -> None:
        self.calls.close()
        self.tenant.close()


def main(home: str, askers: str, rounds: str) -> None:
    quick(pytest.MonkeyPatch())
    room = Askers(Path(home), int(askers), int(rounds))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with ThreadPoolExecutor(int(askers)) as threads:
        list(threads.map(room.ask, range(int(askers))))
        sys.stdin.readline()  # the documents stay as they are from now on
        list(threads.map(room.ask, range(int(askers))))
    room.close()
    sys.stdout.write(f"{room.hits} {room.wrong} {room.off} {room.made}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
