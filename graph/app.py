"""The graphs that ``langgraph dev`` and the LangGraph server load (see ``langgraph.json``).

Compiled bare: the server brings its own checkpointer. Settings are read when the module is loaded; the index, the
embedding model and the model server are opened by the first question.
"""

from graph.build import build
from graph.desk import LiveDesk
from infra.resources import Resources
from infra.settings import load_settings

resources = Resources(load_settings())
graph = build(LiveDesk(resources))
