"""Roof: the conversation and its doors; the only floor that knows LangGraph.

Checkpoints are read back strictly: nothing but plain values and messages is ever built from what is on disk. LangGraph
reads that choice from the environment when it is first imported, so it is made here, before any module does.
"""

import os

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
