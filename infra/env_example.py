"""Print ``.env.example`` from the settings model: ``python -m infra.env_example > .env.example``.

Gives one commented line a setting with its default, under its description and bounds, so that a copy of the file
changes nothing until a line is uncommented. Reads no environment: what it prints depends on the model alone.
"""

import sys
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from infra.settings import PREFIX, Settings

HEAD = """\
# Every setting of DocMind with its default. Copy this file to `.env` and uncomment what you change; a variable of the
# environment wins over the file. Written by `python -m infra.env_example`, a test compares.
"""
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "pattern": "pattern"}


def render(model: type[BaseModel] = Settings) -> str:
    """Return the whole file as text: the plain settings first, then a paragraph for each section."""
    plain = [(name, field) for name, field in model.model_fields.items() if _section(field) is None]
    parts = [HEAD, "\n".join(_entry(PREFIX, name, field) for name, field in plain)]
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is not None:
            parts.append("\n".join(_section_lines(name, section)))
    return "\n".join(parts)


def _section_lines(name: str, section: type[BaseModel]) -> Iterator[str]:
    yield f"# --- {_first_line(section)}"
    for key, field in section.model_fields.items():
        yield _entry(f"{PREFIX}{name.upper()}__", key, field)


def _entry(prefix: str, name: str, field: FieldInfo) -> str:
    allowed = _allowed(field)
    about = f"{field.description or ''}{f' ({allowed})' if allowed else ''}".strip()
    return f"# {about}\n# {prefix}{name.upper()}={_shown(field)}\n"


def _shown(field: FieldInfo) -> str:
    """The default as one writes it in a ``.env`` file; empty where it depends on the machine or there is none."""
    value: object = field.default
    if value is None or field.default_factory is not None or field.is_required():
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, cast("tuple[object, ...]", value)))
    return str(value)


def _allowed(field: FieldInfo) -> str:
    """Return the choices, or the bounds, in words; '' where anything goes."""
    if field.default_factory is not None:
        return "the default depends on the machine"
    literals = [choice for kind in _kinds(field.annotation) if get_origin(kind) is Literal for choice in get_args(kind)]
    bounds = [
        f"{sign} {getattr(rule, key)}"
        for rule in field.metadata
        for key, sign in _BOUNDS.items()
        if getattr(rule, key, None) is not None
    ]
    choices = [" | ".join(str(choice) for choice in literals)] if literals else []
    unset = ["not set by default"] if NoneType in _kinds(field.annotation) else []
    return ", ".join([*choices, *bounds, *unset])


def _kinds(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type form
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _first_line(section: type[BaseModel]) -> str:
    return (section.__doc__ or section.__name__).strip().splitlines()[0]


def main() -> None:
    """Write the file to stdout."""
    sys.stdout.write(render())


if __name__ == "__main__":
    main()
