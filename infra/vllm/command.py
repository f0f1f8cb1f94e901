"""The command for a wish, ready to be launched: facts gathered, composed, refused where it cannot work, vLLM asked.

Gives `command_for`, which args, units and serve share. It reads the settings, the model's files and what the machine
says of itself; it starts nothing but the process that asks an installed vLLM.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.errors import ConfigurationError
from infra.settings import Settings
from infra.vllm import machine as machines
from infra.vllm import models
from infra.vllm.asking import Unasked, verdicts
from infra.vllm.choice import Vllm, find_vllm
from infra.vllm.compose import Composed, Subject, compose
from infra.vllm.conflicts import conflicts, warned
from infra.vllm.facts import GIB, GpuFacts, Machine, ModelFacts, Wanted
from infra.vllm.gpus import gpu
from infra.vllm.options import options_for
from infra.vllm.plan import plan
from infra.vllm.words import refused_variables


@dataclass(frozen=True, slots=True)
class Added:
    """What a person adds to what is wanted.

    Attributes:
        words: options of vLLM's own; they win.
        environment: variables of the server's process.
        version: of vLLM to write for; '' for the settings', else the installed one's, else the newest known.
        ram_gib: main memory of the machine it is for, None for this one's.
        ask: whether an installed vLLM is asked.
    """

    words: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = ""
    ram_gib: float | None = None
    ask: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """A command that may be launched.

    Attributes:
        composed: the command; its warnings are among `warnings`.
        subject: what it was composed from.
        vllm: the vLLM that is installed, None where none is.
        asked: whether that vLLM's own parser took the command.
        warnings: one line each.
    """

    composed: Composed
    subject: Subject
    vllm: Vllm | None
    asked: bool
    warnings: tuple[str, ...]


class Refused(ConfigurationError):  # noqa: N818 - the field's word
    """The command cannot work; ``reasons`` has one line each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        """Take the reasons."""
        super().__init__("\n".join(reasons))
        self.reasons = tuple(reasons)


def command_for(wanted: Wanted, settings: Settings, added: Added | None = None) -> Command:
    """Return the command for ``wanted``.

    Raises:
        Refused: it cannot work, for the reasons given.
        ConfigurationError: an option, a version, a GPU or a file is wrong.
    """
    added = added or Added()
    vllm = find_vllm(settings.serve)
    version = added.version or settings.serve.version or (vllm.version if vllm else "")
    model, machine = _model(wanted), _machine(added.ram_gib)
    subject = Subject(
        wanted=wanted,
        serve=settings.serve,
        vllm=settings.vllm,
        options=options_for(version),
        model=model,
        gpu=_gpu(wanted, machine),
        machine=machine,
        extra=tuple(added.words),
        environment=added.environment,
    )
    composed = compose(subject)
    if reasons := conflicts(subject, composed):
        raise Refused(reasons)
    looks = [*composed.warnings, *warned(subject, composed), *_predicted(subject), *_unknown(subject, version, vllm)]
    asked = False
    if added.ask and vllm is not None and options_for(vllm.version).version == composed.version:
        try:
            asked = _ask(vllm, composed)
        except Unasked as error:  # the command is checked against the version's list all the same
            looks.append(str(error))
    return Command(composed, subject, vllm, asked, tuple(looks))


def _model(wanted: Wanted) -> ModelFacts | None:
    try:
        return models.model(wanted.model)
    except ConfigurationError:
        if wanted.model.startswith((".", "/", "~")) or Path(wanted.model).exists():  # a folder, broken or not there
            raise
        return None


def _gpu(wanted: Wanted, machine: Machine) -> GpuFacts | None:
    if wanted.gpu is not None:
        return gpu(wanted.gpu)
    return max(machine.gpus, key=lambda facts: facts.count * facts.vram_bytes, default=None)


def _machine(ram_gib: float | None) -> Machine:
    here = machines.here()
    return here if ram_gib is None else replace(here, ram_bytes=round(ram_gib * GIB))


def _ask(vllm: Vllm, composed: Composed) -> bool:
    said = verdicts(vllm.python, [composed.words[1:]])[0]
    if said:
        raise Refused([f"vLLM {vllm.version} itself refuses the command: {said}"])
    return True


def _predicted(subject: Subject) -> list[str]:
    """Return why the wish will hardly fit; a prediction, so nothing is refused for it."""
    if subject.model is None or subject.gpu is None:
        return []
    problems = plan(subject.model, subject.gpu, subject.wanted).problems
    return [f"predicted: {problem.rstrip('.')}; docmind plan says which change makes it fit" for problem in problems]


def _unknown(subject: Subject, version: str, vllm: Vllm | None) -> list[str]:
    lines = [f"in your environment: {line}" for line in refused_variables(os.environ, subject.options)]
    if subject.model is None:
        lines.append(f"nothing is known of {subject.wanted.model}: what depends on the model was not checked")
    if subject.gpu is None:
        lines.append("no NVIDIA GPU answers here: what depends on it was not checked; --gpu names one")
    read = subject.options.version
    if version and read != version.partition("+")[0]:
        lines.append(f"the options of vLLM {version} are not known; those of {read} were taken")
    if vllm is not None and version and options_for(vllm.version).version != read:
        lines.append(f"vLLM {vllm.version} is installed, and the command is for {version}: it was not asked")
    return lines
