"""The helper process of ``tools.reading``: JSON requests in, one a line; JSON replies out. Not a door for people."""

import json
import logging
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import IO, Any

from infra.errors import DocumentError
from tools.extracted import to_json
from tools.readers.kinds import read
from tools.readers.source import Source


def main(memory_bytes: int) -> None:
    """Answer requests until the input ends; more memory than ``memory_bytes`` is refused by the system."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    logging.disable()
    warnings.simplefilter("ignore")
    # whatever a library prints must not stand between the replies
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer every line of ``requests`` by a line in ``replies``."""
    for line in requests:
        replies.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        replies.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Read one file: its extracted text, ``{"error": ...}``, or ``{"hungry": true}`` where memory did not suffice."""
    try:
        return to_json(read(request["kind"], Source(Path(request["path"]), request["max_bytes"])))
    except MemoryError:
        return {"hungry": True}
    except (DocumentError, OSError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main(int(sys.argv[1]))
