"""Words of a ``vllm serve`` command line against the exact options of one version.

Gives `read_words` (words to options, every refusal in one line), `refused_variables` and `size`. argparse takes
abbreviations and vLLM's parser underscores and dotted names; here an underscore is a dash, a dotted name is checked by
its first part, and an abbreviation is refused, because the next version may read it as something else.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.errors import ConfigurationError
from infra.text.plain import short_line
from infra.vllm.options import Option, OptionList, gone

MAX_WORDS = 1_000
_SIZES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([kKmMgGtT]?)")
_NUMBER = re.compile(r"-?\.?\d[\d.eE+-]*")
_NOT_IN_WORDS = {
    "--model": "the model is chosen with --model before the `--`, or DOCMIND_SERVE__LOAD",
    "--config": "what is in the file would not be checked; write its options out",
}


@dataclass(frozen=True, slots=True)
class Given:
    """One option with its values.

    Attributes:
        key: the option, as its list names it.
        name: as written out: the same, what switches a flag off, or with a dotted rest where one was said.
        values: none for a bare flag.
    """

    key: str
    name: str
    values: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The option as it stands in a command line; a value that looks like an option is joined to it."""
        if len(self.values) == 1 and self.values[0].startswith("-"):
            return (f"{self.name}={self.values[0]}",)
        return (self.name, *self.values)


def read_words(words: Sequence[str], options: OptionList) -> tuple[Given, ...]:
    """Return what ``words`` say, in their order.

    Raises:
        ConfigurationError: an option that this version does not have, or a value that it does not take.
    """
    if len(words) > MAX_WORDS:
        raise ConfigurationError(f"{len(words):,} words of vLLM options; at most {MAX_WORDS:,} are read")
    said: list[Given] = []
    at = 0
    while at < len(words):
        name, joined = _split(words[at])
        option = _option(name, options)
        at += 1
        taken = 0 if joined is not None else _how_many(option, words[at:])
        values = (joined,) if joined is not None else tuple(words[at : at + taken])
        at += taken
        said.append(_checked(name, option, values))
    return tuple(said)


def refused_variables(names: Iterable[str], options: OptionList) -> list[str]:
    """Return one line for each ``VLLM_`` variable that this version does not read."""
    return [
        f"{name} is no variable of vLLM {options.version}: {gone(name, options) or 'unknown'}"
        for name in names
        if name.startswith("VLLM_") and name not in options.environment and not _plugin(name)
    ]


def size(text: str) -> int | None:
    """Return an int as vLLM reads it (``128k`` = 128,000, ``128K`` = 131,072); None where it is none."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or ("." in found[1] and (not found[2] or found[2].isupper())):
        return None
    return int(float(found[1]) * _SIZES[found[2]]) if "." in found[1] else int(found[1]) * _SIZES.get(found[2], 1)


def _plugin(name: str) -> bool:
    return name in ("VLLM_DIR", "VLLM_VERSION_OVERRIDE")  # ours for tests; read by vLLM's build only


def _split(word: str) -> tuple[str, str | None]:
    """Return an option's name with dashes, and what is joined to it by a ``=``."""
    if not word.startswith("-") or word in ("-", "--") or _NUMBER.fullmatch(word):
        raise ConfigurationError(
            f"{short_line(word, 60)!r} belongs to no option; after `--` stand vLLM's options, each with its values"
        )
    if found := re.fullmatch(r"-O=?(\d)", word):
        return "--optimization-level", found[1]  # vLLM's own short form
    name, equals, value = word.partition("=")
    first, dot, rest = name.partition(".")
    return (first.replace("_", "-") if first.startswith("--") else first) + dot + rest, value if equals else None


def _option(name: str, options: OptionList) -> Option:
    base = name.partition(".")[0]
    if base in _NOT_IN_WORDS:
        raise ConfigurationError(f"{base} is not taken from here: {_NOT_IN_WORDS[base]}")
    if base in options.names:
        return options.names[base]
    shown, version = short_line(base, 60), options.version
    if reason := gone(base, options):
        raise ConfigurationError(f"{shown} is no option of vLLM {version}: {reason}")
    starts = sorted(each for each in options.options if each.startswith(base))
    if base.startswith("--") and starts:
        raise ConfigurationError(f"{shown} is no option of vLLM {version}: write out {', '.join(starts[:5])}")
    near = difflib.get_close_matches(base, options.options.keys() - _NOT_IN_WORDS.keys(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigurationError(f"{shown} is no option of vLLM {version}{hint}")


def _how_many(option: Option, rest: Sequence[str]) -> int:
    """Return how many of the next words are the option's values."""
    free = next((at for at, word in enumerate(rest) if word.startswith("-") and not _NUMBER.fullmatch(word)), len(rest))
    return free if option.value.endswith("*") else min(free, 1)


def _checked(name: str, option: Option, values: tuple[str, ...]) -> Given:
    base, dot, rest = name.partition(".")
    shown = base if base in option.off else option.name + dot + rest
    if option.bare and values:
        off = f"leave it out or write {option.off[0]}" if option.off else "leave it out"
        raise ConfigurationError(
            f"{shown} {short_line(values[0], 30)}: {option.name} is a flag and takes no value; to have it off, {off}"
        )
    if not option.bare and not values and not option.value.endswith("?"):
        raise ConfigurationError(f"{shown} needs a value ({option.value.rstrip('*')})")
    for value in () if dot else values:
        _check_value(shown, option, value)
    return Given(option.name, shown, values)


def _check_value(shown: str, option: Option, value: str) -> None:
    wrong = f"{shown} {short_line(value, 60)!r}"
    if option.choices and value not in option.choices:
        raise ConfigurationError(f"{wrong}: vLLM takes {', '.join(option.choices)}")
    kind = option.value.rstrip("?*")
    if kind == "int" and not re.fullmatch(r"-?\d{1,18}", value):
        raise ConfigurationError(f"{wrong}: a whole number is needed")
    if kind == "length" and value in ("auto", "-1"):
        return
    if kind in ("size", "length") and size(value) is None:
        raise ConfigurationError(f"{wrong}: a whole number is needed, such as 131072, 128k (128,000) or 128K (131,072)")
    if kind == "float" and not _float(value):
        raise ConfigurationError(f"{wrong}: a number is needed")


def _float(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
