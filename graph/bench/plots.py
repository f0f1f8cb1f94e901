"""Plots of measurements as PNG files.

matplotlib is of the extra [bench] and takes a second to import, so it is imported when the first plot is drawn; it
draws into memory (Agg) and needs no screen. Gives `check`, to be asked before a long measurement, `bars` and `curves`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError

INCHES = (12.0, 6.0)
LEGEND_COLUMNS = 4
BAR_SPACE = 0.8
"""Share of a group's width that its bars take."""


def check(folder: Path) -> None:
    """Make ``folder`` and see that plots can be drawn.

    Raises:
        ConfigurationError: matplotlib is missing, or the folder cannot be made.
    """
    _pyplot()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: {error}; give a folder that can be written") from error


def bars(
    file: Path,
    title: str,
    systems: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    marks: Mapping[str, float] | None = None,
) -> Path:
    """Draw one group of bars for each of ``names``, one bar for each system that has the figure; return ``file``.

    Args:
        file: the PNG file, overwritten.
        title: what the plot shows, with units.
        systems: figures by system, then by name.
        names: which figures, in order.
        marks: aims by name, drawn as a line across the group.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    try:
        width = BAR_SPACE / max(1, len(systems))
        for place, (system, figures) in enumerate(systems.items()):
            known = [(n + place * width, figures[name]) for n, name in enumerate(names) if name in figures]
            axes.bar([at for at, _ in known], [value for _, value in known], width, label=system, align="edge")
        for n, name in enumerate(names):
            if marks and name in marks:
                axes.hlines(marks[name], n, n + BAR_SPACE, colors="black", linestyles="dashed")
        axes.set_xticks([n + BAR_SPACE / 2 for n in range(len(names))], [name.replace("_", " ") for name in names])
        axes.tick_params(axis="x", labelrotation=20)
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS)
        figure.savefig(file)
    finally:
        pyplot.close(figure)
    return file


def curves(
    file: Path,
    title: str,
    axes_names: tuple[str, str],
    lines: Mapping[str, Sequence[tuple[float, float]]],
    points: Mapping[str, tuple[float, float]],
    *,
    shares: bool = True,
) -> Path:
    """Draw lines and single points, both by name; return ``file``.

    Args:
        file: the PNG file, overwritten.
        title: what the plot shows.
        axes_names: what runs along x and y, with units.
        lines: (x, y) of each line.
        points: (x, y) of each point.
        shares: whether both axes are shares, shown from 0 to 1.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=INCHES, layout="constrained")
    try:
        for name, places in lines.items():
            axes.plot([x for x, _ in places], [y for _, y in places], label=name)
        for number, (name, (x, y)) in enumerate(points.items(), start=len(lines)):
            axes.scatter([x], [y], label=f"{name} ({x:.3f}, {y:.4f})", color=f"C{number}", zorder=3)
        axes.set(xlabel=axes_names[0], ylabel=axes_names[1], title=title)
        if shares:
            axes.set(xlim=(0.0, 1.0), ylim=(-0.02, 1.0))
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="upper left")
        figure.savefig(file)
    finally:
        pyplot.close(figure)
    return file


def _pyplot() -> Any:  # noqa: ANN401 - a module without complete types
    try:
        import matplotlib  # noqa: PLC0415 - see the module's contract

        matplotlib.use("Agg")
        from matplotlib import pyplot  # noqa: PLC0415 - likewise, after the back end is chosen
    except ImportError as error:
        raise ConfigurationError("plots need matplotlib: pip install 'docmind[bench]', or leave out --out") from error
    return pyplot
