"""Files of the checkout that pages link to, each as a page that shows its text; a folder as a list of its files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from pages.markdown import Pages, code, link, page

_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
_TOLD_BY = {
    "ontology": "ontology/index.md",
    "ontology/claim.ttl": "ontology/claim.md",
    "ontology/coding.ttl": "ontology/coding.md",
    "ontology/policy.ttl": "ontology/policy.md",
    "queries": "questions/index.md",
    "shapes": "shapes/index.md",
}
"""What a guide links to and pages of its own tell more of."""
_KINDS = {
    ".ttl": "turtle",
    ".rq": "sparql",
    ".py": "python",
    ".toml": "toml",
    ".json": "json",
    ".jsonld": "json",
    ".csv": "text",
    ".yml": "yaml",
    ".yaml": "yaml",
}


def pages(base: Path, wanted: Iterable[Path]) -> Pages:
    """A page for each file, and for each folder and all that is in it."""
    made: Pages = {}
    waiting = list(wanted)
    while waiting:
        path = waiting.pop()
        here = place(base, path)
        if here in made:
            continue
        name = path.relative_to(base).as_posix()
        if path.is_dir():
            inside = sorted(child for child in path.iterdir() if _shown(child))
            waiting += [child for child in inside if not _is_guide(base, child)]
            names = [link(_title(child), place(base, child), here=here) for child in inside]
            title = f"{name}/" if here.startswith("files/") else path.name.capitalize()
            made[here] = page(title, "\n".join(f"- {each}" for each in names), search=False)
        elif path.suffix == ".md":
            made[here] = rewritten(path.read_text(encoding="utf-8"), path, here, base)
        else:
            text = path.read_text(encoding="utf-8")
            made[here] = page(name, code(_KINDS.get(path.suffix, "text"), text), search=False)
    return made


def place(base: Path, path: Path) -> str:
    """Where on the site a file is shown: guides and their folders at their own place, others under ``files``."""
    name = path.relative_to(base)
    if name.parts[0] == "docs" and (path.suffix == ".md" or any(path.glob("*.md"))):
        own = name.relative_to("docs").as_posix()
        return f"{own}/index.md" if path.is_dir() else own
    return f"files/{name.as_posix()}/index.md" if path.is_dir() else f"files/{name.as_posix()}.md"


def linked(text: str, path: Path, base: Path) -> set[Path]:
    """The files and folders of the checkout that a Markdown file links to and that are no guides."""
    found = {(path.parent / target[1]).resolve() for target in _LINK.finditer(text)}
    inside = {p for p in found if p.exists() and p.is_relative_to(base)}
    return {p for p in inside if not _is_guide(base, p) and p.relative_to(base).as_posix() not in _TOLD_BY}


def rewritten(text: str, path: Path, here: str, base: Path) -> str:
    """The text with each link to a file of the checkout leading to the page that shows it."""

    def way(found: re.Match[str]) -> str:
        target = (path.parent / found[1]).resolve()
        if not target.exists() or not target.is_relative_to(base):
            return found[0]
        told_by = _TOLD_BY.get(target.relative_to(base).as_posix()) or place(base, target)
        return posixpath.relpath(told_by, posixpath.dirname(here)) + (found[2] or "")

    return _LINK.sub(way, text)


def _is_guide(base: Path, path: Path) -> bool:
    return path.suffix == ".md" and not place(base, path).startswith("files/")


def _title(path: Path) -> str:
    heading = re.match(r"# (.+)", path.read_text(encoding="utf-8")) if path.suffix == ".md" else None
    return heading[1] if heading else path.name


def _shown(path: Path) -> bool:
    return not path.name.startswith((".", "__")) and (path.is_dir() or path.suffix in {*_KINDS, ".txt", ".md"})
