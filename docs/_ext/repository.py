"""Pages of the repository on the site: links lead to pages here, and reports come along.

Markdown is written so that its links work in the repository, where ``../reports/main/index.html``
is a file. On the site reports lie in ``reports/``, and files that are no page are shown by the
host of the repository.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = "https://github.com/scdiff-augment/scdiff-augment/blob/main/"
BORROWED = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "log": "reports/experiments.md",
}
"""Pages of the site whose text is a file elsewhere in the repository."""

LINK = re.compile(r"\]\(([^)\s]+)\)")


def link_on_site(target: str, page: Path) -> str:
    """Return where a link of a Markdown file leads on the site."""
    path, hash_, anchor = target.partition("#")
    if not path or path.startswith("/") or "://" in target or target.startswith("mailto:"):
        return target
    file = (page.parent / path).resolve()
    if file.suffix in {".png", ".svg"}:
        return target
    for docname, borrowed in BORROWED.items():
        if file == ROOT / borrowed:
            file = DOCS / f"{docname}.md"
    if file.is_relative_to(ROOT / "reports") and file.suffix in {".html", ""}:
        return f"report:{file.relative_to(ROOT / 'reports')}"
    if file.is_relative_to(DOCS) and file.suffix in {".md", ".rst"}:
        return f"/{file.relative_to(DOCS)}{hash_}{anchor}"
    if file.is_relative_to(DOCS):
        return target
    return SOURCE + str(file.relative_to(ROOT)) + hash_ + anchor


def read(app: Any, docname: str, source: list[str]) -> None:
    """Replace the links of a Markdown page."""
    page = DOCS / f"{docname}.md"
    if not page.exists():
        return
    text = source[0]
    if docname in BORROWED:
        page = ROOT / BORROWED[docname]
        text = page.read_text(encoding="utf-8")
    source[0] = LINK.sub(lambda found: f"]({link_on_site(found[1], page)})", text)


def resolve(app: Any, doctree: nodes.document, docname: str) -> None:
    """Point to reports from where the page is."""
    up = "../" * app.builder.get_target_uri(docname).count("/")
    for link in doctree.findall(nodes.reference):
        uri = link.get("refuri", "")
        if uri.startswith("report:"):
            link["refuri"] = f"{up}reports/{uri.removeprefix('report:')}"


def copy_reports(app: Any, error: Exception | None) -> None:
    """Put the reports' pages, and what they link to, beside the site's."""
    reports = ROOT / "reports"
    if error or app.builder.format != "html" or not reports.exists():
        return
    pages = [reports / "index.html", *sorted(reports.glob("*/index.html"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        named = {page.parent / name for name in re.findall(r'(?:href|src)="([^"#:]+)"', text)}
        for file in {page, *named}:
            file = file.resolve()
            if file.is_relative_to(reports) and file.is_file():
                target = Path(app.outdir) / "reports" / file.relative_to(reports)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


def setup(app: Any) -> dict[str, Any]:
    """Connect to the build."""
    app.config.myst_url_schemes = ("http", "https", "mailto", "report")
    app.connect("source-read", read)
    app.connect("doctree-resolved", resolve)
    app.connect("build-finished", copy_reports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
