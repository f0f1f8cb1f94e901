"""What the answer cache aims at, beside what was measured; and the tables that show it. Pure but for printing."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from graph.bench.rephrase.make import NEGATIVES, REPHRASINGS
from graph.bench.report import share
from infra.text.plain import one_line

Figures = dict[str, Any]

HITS: dict[str, tuple[tuple[str, ...], float]] = {
    "repeated": (("case", "punctuation", "contraction", "politeness"), 0.97),
    "filler": (("filler",), 0.90),
    "typo": (("typo",), 0.70),
    "fronting": (("fronting",), 0.70),
    "question form": (("question form",), 0.70),
    "all rephrasings": (tuple(REPHRASINGS), 0.80),
}
"""Share of rephrasings that hit, at least; the mean over the kinds, so that each counts the same."""

NONE_PASSES = ("number", "date", "unit", "negation", "question word", "roles")
MOST_OF_A_KIND, MOST_OF_ALL = 0.01, 0.005
MOST_WRONG_IN_DOCUMENTS = 2

Aim = dict[str, Any]


def aims(details: Mapping[str, Figures]) -> dict[str, Aim]:
    """For each aim that was measured: the figure, the aim, whether it is met."""
    found: dict[str, Aim] = {}
    if "generated" in details:
        found |= _generated(details["generated"]["ours"]["by_kind"])
    if "documents" in details:
        wrong = details["documents"]["ours"]["wrong_hits"]
        found["wrong hits among questions over documents"] = _at_most(wrong, MOST_WRONG_IN_DOCUMENTS)
    return found


def _generated(kinds: Mapping[str, Figures]) -> dict[str, Aim]:
    found: dict[str, Aim] = {}
    for name, (members, least) in HITS.items():
        rates = [kinds[kind]["hit_rate"] for kind in members if kind in kinds]
        if rates:
            rate = round(sum(rates) / len(rates), 4)
            found[f"hits: {name}"] = {"figure": rate, "at_least": least, "met": rate >= least}
    negatives = {kind: kinds[kind] for kind in NEGATIVES if kind in kinds}
    passed = sum(row["hits"] for row in negatives.values())
    number = sum(row["pairs"] for row in negatives.values())
    found[f"of {number:,} negatives of {len(negatives)} kinds pass"] = _at_most(share(passed, number), MOST_OF_ALL)
    worst = max((row["hit_rate"] for row in negatives.values()), default=0.0)
    found["negatives of any kind pass"] = _at_most(worst, MOST_OF_A_KIND)
    strict = sum(negatives[kind]["hits"] for kind in NONE_PASSES if kind in negatives)
    found[f"negatives pass of {', '.join(NONE_PASSES)}"] = _at_most(strict, 0)
    return found


def _at_most(figure: float, most: float) -> Aim:
    return {"figure": figure, "at_most": most, "met": figure <= most}


def tables(figures: Figures, console: Console) -> None:
    """Print both caches side by side, ours by kind, the aims, and every wrong hit among questions over documents."""
    console.print(_side_by_side(figures["details"]))
    for name, rows in figures["details"].items():
        if rows["ours"]["by_kind"]:
            console.print(_kinds(name, rows))
    if figures["aims"]:
        console.print(_aims(figures["aims"]))
    for one in figures["details"].get("documents", {}).get("wrong", ()):
        said = f"wrong hit in {one['set']}: {one['asked']!r} was given the answer to {one['kept']!r} ({one['reason']})"
        console.print(one_line(said), markup=False, highlight=False)


def _side_by_side(details: Mapping[str, Figures]) -> Table:
    columns = ("asked", "hits", "hit rate", "wrong hits", "wrong among hits", "near", "not kept")
    title = "Answer cache beside stock GPTCache (near: a verifier could add so many at most)"
    table = Table("", "system", *columns, title=title, title_justify="left")
    for name, rows in details.items():
        for system in ("ours", "stock"):
            row = rows.get(system)
            if row:
                values = ("asked", "hits", "hit_rate", "wrong_hits", "wrong_among_hits", "near_rate", "not_kept")
                table.add_row(name, system, *(f"{row[value]:g}" for value in values))
                equal = row.get("at_our_hit_rate")
                if equal:
                    shown = ("hit_rate", "wrong_hits", "wrong_among_hits")
                    table.add_row(name, "stock at our hit rate", "", "", *(f"{equal[value]:g}" for value in shown))
    return table


def _kinds(name: str, rows: Figures) -> Table:
    table = Table("kind", "same", "pairs", "hit", "near", "stock hits", title=f"{name}, by kind", title_justify="left")
    stock = rows.get("stock", {}).get("by_kind", {})
    for kind, row in rows["ours"]["by_kind"].items():
        beside = f"{stock[kind]['hit_rate']:.3f}" if kind in stock else ""
        same = "yes" if row["same"] else "no"
        table.add_row(kind, same, str(row["pairs"]), f"{row['hit_rate']:.4f}", f"{row['near_rate']:.3f}", beside)
    return table


def _aims(found: Mapping[str, Aim]) -> Table:
    table = Table("aim", "figure", "wanted", "met", title="Aims", title_justify="left")
    for name, aim in found.items():
        wanted = f"at least {aim['at_least']:g}" if "at_least" in aim else f"at most {aim['at_most']:g}"
        table.add_row(name, f"{aim['figure']:g}", wanted, "yes" if aim["met"] else "NO")
    return table
