"""The helper process of ``tools.reading``: JSON requests in, one a line; JSON replies out. Not a door for people."""

import json
import logging
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import IO, Any

from infra.errors import DocumentError
from tools.extracted import to_json
from tools.readers.kinds import read
from tools.readers.source import Source

READY = b"ready\n"
"""Its first word."""


def main(memory_bytes: int, seconds: float) -> None:
    """Answer requests until the input ends.

    More memory than ``memory_bytes`` is refused by the system, and more than ``seconds`` over one file ends the process
    (by SIGALRM, whoever waits for the answer or does not).
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    logging.disable()
    warnings.simplefilter("ignore")
    # whatever a library prints must not stand between the replies
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    replies.write(READY)
    replies.flush()
    serve(sys.stdin.buffer, replies, seconds)


def serve(requests: IO[bytes], replies: IO[bytes], seconds: float) -> None:
    """Answer every line of ``requests`` by a line in ``replies``."""
    for line in requests:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        reply = json.dumps(answer(json.loads(line))).encode() + b"\n"
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(reply)
        replies.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Read one file: its extracted text, ``{"error": ...}``, or ``{"hungry": true}`` where memory did not suffice.

    An ``errno`` beside the error says that it is not the file's fault.
    """
    try:
        return to_json(read(request["kind"], Source(Path(request["path"]), request["max_bytes"])))
    except MemoryError:
        return {"hungry": True}
    except DocumentError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": error.strerror or str(error), "errno": error.errno}


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
