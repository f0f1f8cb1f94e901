"""Counting as steps: requests to send and work to do, for blocking and for awaiting callers alike.

Gives `Ask` and `Work`, which a generator yields, and `run` and `arun`, which carry them out and send back what came of
it. So each rule of counting is written once.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from infra.llm.bounds import NotAReply
from infra.llm.endpoint import Clients

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: POST ``body`` as JSON to ``url``; sent back is the response, None for one that is too long."""

    url: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """Something to compute; sent back is its result. It may take long: texts and templates come from strangers."""

    run: Callable[[], Any]


Steps = Generator[Ask | Work, Any, Result]


def run(steps: Steps[Result], clients: Clients) -> Result:
    """Carry out the steps, blocking. Raises what httpx2 raises."""
    try:
        step = next(steps)
        while True:
            step = steps.send(step.run() if isinstance(step, Work) else _ask(step, clients))
    except StopIteration as end:
        return end.value


async def arun(steps: Steps[Result], clients: Clients) -> Result:
    """Carry out the steps, awaiting; work runs in a thread. Raises what httpx2 raises."""
    try:
        step = next(steps)
        while True:
            step = steps.send(await (asyncio.to_thread(step.run) if isinstance(step, Work) else _aask(step, clients)))
    except StopIteration as end:
        return end.value


def _ask(ask: Ask, clients: Clients) -> httpx2.Response | None:
    try:
        return clients.blocking.post(ask.url, json=ask.body, headers=clients.headers)
    except NotAReply:
        return None


async def _aask(ask: Ask, clients: Clients) -> httpx2.Response | None:
    try:
        return await clients.awaiting.post(ask.url, json=ask.body, headers=clients.headers)
    except NotAReply:
        return None
