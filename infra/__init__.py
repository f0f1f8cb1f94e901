"""Ground floor: sockets, disk, clock and the arithmetic of machines. Knows nothing of agents or graphs.

LangChain sends every prompt to LangSmith where the environment says so, for instance for another program of the same
person. Private documents are not traced: it is switched off here, before any module of the house can import LangChain.
"""

import os

os.environ.update(LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")
