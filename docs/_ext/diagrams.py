"""Mermaid's flowcharts as pictures, drawn at build time: no script is fetched.

Understands what the pages use: ``flowchart LR`` or ``TD``, boxes ``name[label]``, rounded boxes
``name(label)``, and arrows ``a --> b`` and ``a -->|label| b``. All are drawn from top to bottom,
which fits a page.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import igraph
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NODE = re.compile(r"(\w+)(?:\[(.*?)\]|\((.*?)\))?")
ARROW = re.compile(rf"^{NODE.pattern}\s*-->\s*(?:\|(.*?)\|\s*)?{NODE.pattern}$")
INK, PAPER, LINE = "#1d2733", "#eef3f7", "#5b6673"


class Chart(NamedTuple):
    """A flowchart: labels of its boxes, which of them are rounded, and labelled arrows."""

    labels: dict[str, str]
    rounded: set[str]
    arrows: list[tuple[str, str, str]]


def parse(text: str) -> Chart:
    """Read a flowchart; a line that it does not understand is an error."""
    lines = [line.strip() for line in text.strip().splitlines()]
    labels: dict[str, str] = {}
    rounded: set[str] = set()
    arrows = []

    def box(name: str, square: str | None, round_: str | None) -> None:
        label = square or round_
        labels[name] = label.replace("<br>", "\n") if label else labels.get(name, name)
        if round_:
            rounded.add(name)

    for line in lines[1:]:
        if found := ARROW.match(line):
            a, a_square, a_round, said, b, b_square, b_round = found.groups()
            box(a, a_square, a_round)
            box(b, b_square, b_round)
            arrows.append((a, b, (said or "").replace("<br>", "\n")))
        elif found := NODE.fullmatch(line):
            box(*found.groups())
        else:
            raise ValueError(f"flowchart line not understood: {line!r}. See docs/_ext/diagrams.py.")
    return Chart(labels, rounded, arrows)


def draw(chart: Chart, path: Path) -> None:
    """Write the chart as SVG."""
    names = list(chart.labels)
    graph = igraph.Graph(
        [(names.index(a), names.index(b)) for a, b, _ in chart.arrows], directed=True
    )
    graph.add_vertices(len(names) - graph.vcount())
    places = graph.layout_sugiyama(hgap=1, vgap=1).coords[: len(names)]
    at = {name: (x * 1.35, -y * 0.66) for name, (x, y) in zip(names, places, strict=True)}
    xs, ys = zip(*at.values(), strict=True)
    size = (max(xs) - min(xs) + 1.5, max(ys) - min(ys) + 0.9)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(
        xlim=(min(xs) - 0.75, max(xs) + 0.75),
        ylim=(min(ys) - 0.45, max(ys) + 0.45),
        aspect="equal",
    )
    axes.axis("off")
    boxes = {}
    for name, (x, y) in at.items():
        label = "\n".join(_short(part) for part in chart.labels[name].split("\n"))
        height = 0.17 * (label.count("\n") + 1) + 0.11
        width = max(0.6, 0.085 * max(map(len, label.split("\n"))) + 0.12)
        style = "round,pad=0,rounding_size=0.12" if name in chart.rounded else "square,pad=0"
        box = FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle=style, facecolor=PAPER, edgecolor=LINE, linewidth=0.8, zorder=2,
        )  # fmt: skip
        axes.add_patch(box)
        axes.text(x, y, label, ha="center", va="center", fontsize=8.5, color=INK, zorder=3)
        boxes[name] = box
    for a, b, said in chart.arrows:
        axes.annotate(
            "", at[b], at[a], zorder=1,
            arrowprops={
                "arrowstyle": "-|>", "color": LINE, "linewidth": 0.9,
                "patchA": boxes[a], "patchB": boxes[b], "shrinkA": 1, "shrinkB": 1,
            },
        )  # fmt: skip
        if said:
            middle = [(p + q) / 2 for p, q in zip(at[a], at[b], strict=True)]
            axes.text(
                *middle, said, ha="center", va="center", fontsize=7, color=LINE, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})


def _short(text: str) -> str:
    """Break a label of more than 18 letters, after an underscore if it has no space."""
    if len(text) > 18 and " " not in text:
        return text.replace("_", "_\n", 1)
    return textwrap.fill(text, 18)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Put pictures in the place of flowcharts."""

    def picture(found: re.Match[str]) -> str:
        name = hashlib.sha256(found[1].encode()).hexdigest()[:12]
        path = Path(app.srcdir) / "generated" / f"flowchart-{name}.svg"
        if not path.exists():
            draw(parse(found[1]), path)
        return f"![Flowchart](/generated/{path.name})"

    source[0] = MERMAID.sub(picture, source[0])


def setup(app: Any) -> dict[str, Any]:
    """Connect to the build."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
