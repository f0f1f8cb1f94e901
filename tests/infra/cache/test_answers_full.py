"""A disk without room, or that may not be written: answers go on, one line says it, and with room it recovers.

The bound is a real one, of the operating system, in a process of its own: no file may grow beyond what it has.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

ASKED = """
import resource, signal, sys
from pathlib import Path
import pytest
from loguru import logger
from tests.infra.cache.house import quick
from tests.infra.cache.talk import Talker, Way
quick(pytest.MonkeyPatch())
one = Talker(Path(sys.argv[1]))
way = Way()
first = "What is the price of a car?"
one.write("cars.md", "The price of a car is high.\\n")
decision = one.ask_so(first, way)
assert one.keep_so(first, way, decision, one.work(first, way)) == ""
one.cache.stats()
logger.remove()
logger.add(lambda message: print("said:", message.record["message"]), level="WARNING")
library = one.index.folder / "library.sqlite3"
def bound(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
bound(int(sys.argv[2]))
for number in range(8):
    question = f"Where can a traveller buy {number + 2} tickets for the tram?"
    decision = one.ask_so(question, way)
    print(decision.outcome, "|", one.keep_so(question, way, decision, one.work(question, way)) or "stored")
    decision = one.ask_so("What's the price of a car?", way)
    assert decision.kept is not None and decision.kept.answer == one.says_now(decision.kept.searches, way)
    print(decision.outcome)
    one.cache._notes._write_late()
try:
    one.cache.stats()
except Exception as error:
    print(type(error).__name__)
bound(resource.RLIM_INFINITY)
logger.remove()
one.restart()
decision = one.ask_so("What's the price of a car?", way)
assert decision.outcome == "hit", decision
question = "Where can a traveller buy 9 tickets for the tram?"
decision = one.ask_so(question, way)
if decision.outcome == "miss":
    assert one.keep_so(question, way, decision, one.work(question, way)) == ""
assert one.ask_so("Where can a traveller purchase 9 tickets for the tram?", way).outcome == "hit"
one.close()
print("recovered")
"""


def run(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("room", [4_096, 60_000])
def test_a_disk_without_room_costs_no_answer_and_is_said_once(tmp_path: Path, room: int) -> None:
    lines = run(ASKED, str(tmp_path), str(room))
    assert lines[-1] == "recovered"
    assert any("miss | the cache failed" in line for line in lines), lines
    said = [line for line in lines if line.startswith("said:")]
    assert len(said) == 1, said
    assert "questions are answered anew: the database" in said[0]


NEARLY = """
import shutil, sys
from pathlib import Path
from types import SimpleNamespace
from loguru import logger
from tests.infra.cache.talk import Talker, Way
logger.remove()
logger.add(lambda message: print("said:", message.record["message"]), level="WARNING")
one, way, free = Talker(Path(sys.argv[1])), Way(), 10**9
shutil.disk_usage = lambda _: SimpleNamespace(free=free)
one.write("cars.md", "The price of a car is high.\\n")
free = 10**7
for number in range(2, 6):
    question = f"Where can a traveller buy {number} tickets for the tram?"
    decision = one.ask_so(question, way)
    if decision.outcome == "miss":
        print("miss |", one.keep_so(question, way, decision, one.work(question, way)))
free = 10**9
one.restart()
question = "Where can a traveller buy 9 tickets for the tram?"
decision = one.ask_so(question, way)
assert one.keep_so(question, way, decision, one.work(question, way)) == ""
print([one.ask_so(f"where can a traveller buy {n} tickets for the tram?", way).outcome for n in (2, 9)])
one.close()
"""


def test_a_disk_with_little_room_turns_it_off_before_the_engine_writes(tmp_path: Path) -> None:
    """Over the real engine, which would be ended by the system; the truth is in the database and is made up for."""
    lines = run(NEARLY, str(tmp_path))
    (said,) = [line for line in lines if line.startswith("said:")]
    assert said.startswith("said: the answer cache is off until the next start: the disk of")
    assert "10 MB are left and 64 MB are needed; make room, or set DOCMIND_DATA_DIR" in said
    assert lines[-1] == "['hit', 'hit']"
