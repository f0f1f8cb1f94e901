"""A helper for files that takes for ever over a PDF and crashes over anything else."""

import json
import os
import sys
from threading import Event

for line in sys.stdin.buffer:
    if json.loads(line)["kind"] == "pdf":
        Event().wait()
    os.abort()
