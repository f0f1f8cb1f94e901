"""The options of ``vllm serve`` for several versions, kept as data, and what became of those that are gone.

The lists (``data/options/VERSION.json``) are printed by vLLM's own parser through `infra.vllm.options_read`; each says
how it was read. Gives `OptionList`, `options_for` a version, and `gone`, the words for an option or a variable that
this version does not have. Reads these files only; knows nothing of models and GPUs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.errors import ConfigurationError
from infra.vllm.removed import NEVER, REPLACED

LISTS = Path(__file__).parent / "data" / "options"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of ``vllm serve``.

    Attributes:
        name: as it is written out, such as ``--max-model-len``.
        value: ``none`` (a bare flag), ``int``, ``size`` (an int that may be written 128K), ``length`` (the same, or
            ``auto``), ``float`` or ``text``; with a ``?`` behind it the value may be left out, with a ``*`` there may
            be several.
        also: its other names: short ones, and ``--no-...`` of a flag.
        choices: the values it takes, empty where vLLM's parser checks none.
        deprecated: whether vLLM says it will go.
    """

    name: str
    value: str
    also: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    deprecated: bool = False

    @property
    def bare(self) -> bool:
        """Whether it is a flag without a value."""
        return self.value == "none"

    @property
    def off(self) -> tuple[str, ...]:
        """The names that switch a flag off, those of before 0.33 first: ``--no-enable-x``, then ``--disable-x``."""
        inverse = self.name.replace("--enable-", "--disable-", 1) if self.name.startswith("--enable-") else "--no-"
        return tuple(sorted((each for each in self.also if each.startswith(("--no-", inverse))), reverse=True))


@dataclass(frozen=True, slots=True)
class OptionList:
    """What one version of vLLM takes.

    Attributes:
        version: such as ``0.32.0``.
        read: how the list was read.
        options: by name as written out.
        names: every name, short and ``--no-`` ones among them, to its option.
        tool_call_parsers: registered names for ``--tool-call-parser``.
        reasoning_parsers: registered names for ``--reasoning-parser``.
        environment: the ``VLLM_`` variables that it reads.
    """

    version: str
    read: str
    options: Mapping[str, Option]
    names: Mapping[str, Option]
    tool_call_parsers: frozenset[str]
    reasoning_parsers: frozenset[str]
    environment: frozenset[str]


def versions() -> tuple[str, ...]:
    """Return the versions whose options are known, the oldest first."""
    return tuple(sorted((path.stem for path in LISTS.glob("*.json")), key=_order))


def options_for(version: str = "") -> OptionList:
    """Return the options of this version, or of the nearest known one before it; '' is the newest known.

    Raises:
        ConfigurationError: it is older than every version known, or no version at all.
    """
    known = versions()
    if not version:
        return _read(known[-1])
    fitting = [each for each in known if _order(each) <= _order(version)]
    if not fitting:
        raise ConfigurationError(
            f"the options of vLLM {version} are not known; DOCMIND_SERVE__VERSION goes from {known[0]} on"
        )
    return _read(fitting[-1])


def gone(name: str, now: OptionList) -> str:
    """Return why ``now`` does not have this option or variable and what to write instead; '' where nothing is known."""
    advice = REPLACED.get(name, "")
    if name in NEVER:
        return f"never was one; {advice}"
    last = [each for each in versions() if _order(each) < _order(now.version) and _has(_read(each), name)]
    later = [each for each in versions() if _order(each) > _order(now.version) and _has(_read(each), name)]
    if last:
        return f"last known in vLLM {last[-1]}" + (f"; {advice}" if advice else "")
    if later:
        return f"first known in vLLM {later[0]}"
    return f"gone; {advice}" if advice else ""


def _has(known: OptionList, name: str) -> bool:
    return name in known.names or name in known.environment


def _order(version: str) -> tuple[int, ...]:
    numbers = version.split("+")[0].split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in numbers[:3]):  # noqa: PLR2004 - digits
        raise ConfigurationError(f"vLLM version {version[:40]!r} is none; write it like 0.32.0")
    return tuple(int(part) for part in numbers[:4] if part.isdigit())


@lru_cache(maxsize=32)
def _read(version: str) -> OptionList:
    facts: dict[str, Any] = json.loads((LISTS / f"{version}.json").read_text(encoding="utf-8"))
    options = {name: _option(name, about) for name, about in facts["options"].items()}
    return OptionList(
        version=version,
        read=facts["read"],
        options=MappingProxyType(options),
        names=MappingProxyType({name: option for option in options.values() for name in (option.name, *option.also)}),
        tool_call_parsers=frozenset(facts["tool_call_parsers"]),
        reasoning_parsers=frozenset(facts["reasoning_parsers"]),
        environment=frozenset(facts["environment"]),
    )


def _option(name: str, about: dict[str, Any]) -> Option:
    return Option(
        name,
        about["value"],
        tuple(about.get("also", ())),
        tuple(about.get("choices", ())),
        bool(about.get("deprecated", False)),
    )
