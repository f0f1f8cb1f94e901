"""The door of the kit: ``python -m infra.vllm NAME``, the same as ``docmind NAME``."""

import typer

from infra.doors import open_doors
from infra.vllm.doors import DOORS

main = typer.Typer(no_args_is_help=True, add_completion=False)


@main.callback()
def overview() -> None:
    """Plan, compose, check and run a vLLM server for consumer cards."""


open_doors(main, "python -m infra.vllm", DOORS)


if __name__ == "__main__":
    main()
