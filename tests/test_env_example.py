"""``.env.example`` is what the settings model says."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings

from infra.env_example import main, render
from infra.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[1]


def test_the_file_in_the_tree_is_what_the_model_prints():
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == render()


def test_the_module_prints_the_file(capsys: pytest.CaptureFixture[str]):
    main()
    assert capsys.readouterr().out == render()


def test_every_setting_has_a_line_and_every_line_a_setting():
    printed = [
        line.removeprefix("# ").split("=")[0] for line in render().splitlines() if line.startswith(f"# {PREFIX}")
    ]
    assert printed == _names(Settings, PREFIX)


def test_uncommenting_every_default_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(f"{PREFIX}CACHE__AUDIT_SHARE")  # the one default that tests do without
    before = load_settings()
    for line in render().splitlines():
        name, _, value = line.removeprefix("# ").partition("=")
        if name.startswith(PREFIX) and value:
            monkeypatch.setenv(name, value)
    assert load_settings() == before


def test_a_line_shows_bounds_choices_and_what_is_not_set():
    class Section(BaseModel):
        """How wide.

        More words.
        """

        width: int | None = Field(None, gt=0, le=9, description="metres")

    class Example(BaseSettings):
        on: bool = Field(default=True, description="whether")
        section: Section = Section(width=None)

    assert render(Example).partition("compares.\n\n")[2] == (
        "# whether\n# DOCMIND_ON=true\n\n"
        "# --- How wide.\n# metres (> 0, <= 9, not set by default)\n# DOCMIND_SECTION__WIDTH=\n"
    )


def _names(model: type[BaseModel], prefix: str) -> list[str]:
    """The variables' names in the file's order: plain settings first, then each section."""
    sections = {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    plain = [prefix + name.upper() for name in model.model_fields if name not in sections]
    return plain + [full for name, kind in sections.items() for full in _names(kind, f"{prefix}{name.upper()}__")]
