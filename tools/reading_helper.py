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
from tools.extracted import Extracted, to_json
from tools.readers_rich import read_docx, read_html, read_pdf


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
    """Read one file: its extracted text, or ``{"error": ...}``."""
    try:
        return to_json(_read(request["kind"], Path(request["path"]), request["max_bytes"]))
    except MemoryError:
        return {"error": "reading it takes too much memory"}
    except (DocumentError, OSError) as error:
        return {"error": str(error)}


def _read(kind: str, path: Path, max_bytes: int) -> Extracted:
    if kind == "pdf":
        return read_pdf(path)
    return read_docx(path, max_bytes) if kind == "docx" else read_html(path)


if __name__ == "__main__":
    main(int(sys.argv[1]))
