"""A JSON object of a stranger, read field by field: of the right type and within bounds, or one clear line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from infra.errors import ConfigurationError
from infra.text.plain import short_line

MAX_LAYERS = 1_024
MAX_SIZE = 1 << 24
"""Largest width, head count or length that any field may state; the largest public models stay under 2**21."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Values of ``values``; ``where`` names the file in messages."""

    values: Mapping[str, Any]
    where: str

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def size(self, *names: str, default: int | None = None, least: int = 0) -> int:
        """Return the first of these fields that is there, a whole number from ``least`` to 2**24.

        Raises:
            ConfigurationError: it is none, or no field is there and there is no default.
        """
        for name in names:
            if self.has(name):
                return self._whole(name, self.values[name], least)
        if default is None:
            raise ConfigurationError(f"{self.where} does not say {' or '.join(names)}; is it a language model's?")
        return default

    def number(self, name: str, default: float) -> float:
        """Return the field, a number in (0, 2**24], or the default.

        Raises:
            ConfigurationError: it is there and no such number.
        """
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SIZE:
            raise ConfigurationError(f"{self.where}: {name} is {_shown(value)}, a positive number is needed")
        return float(value)

    def words(self, name: str) -> str:
        """Return the field if it is text, on one line; else an empty string."""
        value = self.values.get(name)
        return short_line(value) if isinstance(value, str) else ""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return the field if it is true or false, else the default."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default

    def part(self, name: str) -> "Fields | None":
        """Return the field if it is an object."""
        value = self.values.get(name)
        return Fields(cast("dict[str, Any]", value), f"{self.where}: {name}") if isinstance(value, dict) else None

    def items(self, name: str) -> list[Any] | None:
        """Return the field if it is a list; longer ones than a model has layers are refused.

        Raises:
            ConfigurationError: the list has more than 1,024 entries.
        """
        value = self.values.get(name)
        if not isinstance(value, list):
            return None
        entries = cast("list[Any]", value)
        if len(entries) > MAX_LAYERS:
            raise ConfigurationError(f"{self.where}: {name} has {len(entries):,} entries, {MAX_LAYERS:,} are allowed")
        return entries

    def _whole(self, name: str, value: object, least: int) -> int:
        """Return ``value`` if it is such a number; of a list with one for each layer, its largest."""
        if isinstance(value, list):
            value = max((entry for entry in self.items(name) or () if isinstance(entry, int)), default=None)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_SIZE:
            raise ConfigurationError(
                f"{self.where}: {name} is {_shown(value)}, a whole number from {least} to {MAX_SIZE:,} is needed"
            )
        return value


def _shown(value: object) -> str:
    return short_line(repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge number", 40)
