"""The `docmind` command: one name for all doors, each loaded only when it is called (`infra.doors`)."""

import typer

from infra.doors import Door, open_doors
from infra.vllm import doors as kit

DOORS = {
    "ask": Door("graph.run", "Ask your documents a question, or many."),
    "ingest": Door("tools.ingest", "Bring files and folders into the index, or up to date."),
    "retrieve": Door("tools.retrieve", "Search the documents without answering."),
    "cache": Door("graph.cache", "Look after the answers that may be given again."),
    "dev": Door("graph.dev", "Run `langgraph dev` for Studio and the LangGraph API, on this machine only."),
    "engine": Door("infra.engine.serve", "Serve the embedded engine on a port, in vLLM's dialect."),
    **kit.DOORS,
    "bench": Door("graph.bench.__main__", "Measure and check: run without a name to see the list."),
}


main = typer.Typer(no_args_is_help=True, add_completion=False)


@main.callback()
def overview() -> None:
    """Questions over your own documents, on your own machine, with every claim cited and checked."""


open_doors(main, "docmind", DOORS)


if __name__ == "__main__":
    main()
