"""Draw the rooms of `scdiff_augment` and which imports which, from the code itself.

``python docs/draw_architecture.py`` writes a Mermaid diagram, a table of the rooms and one of the
parts of the harness between the markers of ``architecture.md``; ``--check`` says whether they are
up to date, and writes nothing. Only the standard library is used, and nothing is imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "architecture.md"
PACKAGE = HERE.parent / "scdiff_augment"
HARNESS = HERE.parent / "benchmarks" / "scdiff_bench"

APART = ("results_version",)
"""Modules that everything may import; arrows to them would tell nothing."""

Edges = dict[str, set[str]]


def rooms(package: Path) -> dict[str, Path]:
    """Return the rooms of a package: its sub-packages, and modules beside them."""
    found = {p.parent.name: p for p in package.glob("*/__init__.py")}
    modules = {p.stem: p for p in package.glob("*.py") if not p.stem.startswith("__")}
    return {name: path for name, path in sorted((found | modules).items()) if name not in APART}


def summary(path: Path) -> str:
    """Return the first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def targets(node: ast.AST, package: tuple[str, ...], homes: dict[str, str]) -> Iterator[str]:
    """Yield the rooms that an import statement reads, by the package that it stands in."""
    root = package[0]
    if isinstance(node, ast.Import):
        dotted = [alias.name.split(".") for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = list(package[: len(package) - node.level + 1]) if node.level else []
        module = base + (node.module.split(".") if node.module else [])
        dotted = [[*module, alias.name] for alias in node.names] if module == [root] else [module]
    else:
        return
    for parts in dotted:
        if parts[0] == root and len(parts) > 1:
            yield homes.get(parts[1], parts[1])


def homes_of(package: Path) -> dict[str, str]:
    """Return the room behind each name that the package itself offers (``_HOMES``)."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES":
            homes = ast.literal_eval(node.value)
            return {name: module.lstrip(".").split(".")[0] for name, module in homes.items()}
    return {}


def edges(package: Path) -> Edges:
    """Return, for each room, the rooms that it imports anywhere, in functions too."""
    known, homes = rooms(package), homes_of(package)
    found: Edges = {name: set() for name in known}
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package.parent).with_suffix("").parts
        if place[1] not in known:
            continue  # the package's own __init__ and __main__
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            found[place[1]].update(targets(node, place[:-1], homes))
    return {name: (reads & known.keys()) - {name} for name, reads in found.items()}


def reachable(graph: Edges, start: str, without: str) -> set[str]:
    """Return what a room reads through others, its own arrow to one of them left out."""
    seen: set[str] = set()
    left = [name for name in graph[start] if name != without]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += graph[name] if name != start else ()
    return seen


def shown(graph: Edges) -> list[tuple[str, str]]:
    """Return the arrows to draw: those that no longer way says already, and all within cycles."""
    arrows = []
    for room, reads in graph.items():
        for other in sorted(reads):
            cyclic = room in reachable(graph, other, "")
            if cyclic or other not in reachable(graph, room, other):
                arrows.append((room, other))
    return arrows


def diagram(package: Path) -> str:
    """Draw the rooms as a Mermaid flowchart; sub-packages are boxes, modules are rounded."""
    graph = edges(package)
    lines = ["```mermaid", "flowchart TD"]
    for name, path in rooms(package).items():
        lines.append(f"  {name}[{name}]" if path.stem == "__init__" else f"  {name}({name}.py)")
    lines += [f"  {room} --> {other}" for room, other in shown(graph)]
    return "\n".join([*lines, "```"])


def table(package: Path) -> str:
    """Say of each room what it holds, and which others it imports."""
    graph = edges(package)
    lines = ["| room | holds | imports |", "|---|---|---|"]
    for name, path in rooms(package).items():
        title = f"`{name}/`" if path.stem == "__init__" else f"`{name}.py`"
        reads = ", ".join(f"`{other}`" for other in sorted(graph[name])) or "nothing"
        lines.append(f"| {title} | {summary(path).replace('|', chr(92) + '|')} | {reads} |")
    return "\n".join(lines)


def filled(text: str, name: str, content: str) -> str:
    """Put content between the markers of that name."""
    start, end = f"<!-- {name}: drawn by draw_architecture.py -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(
            f"{PAGE.name} must have the marker {(start if not found else end)!r}. Put both markers "
            f"back where the {name} shall stand."
        )
    return f"{before}{start}\n{content}\n{end}{after}"


def page() -> str:
    """Return the page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    text = filled(text, "diagram", diagram(PACKAGE))
    text = filled(text, "rooms", table(PACKAGE))
    return filled(text, "harness", table(HARNESS))


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    wanted = page()
    if arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"docs/{PAGE.name} is not what the code is. Run: python docs/draw_architecture.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
