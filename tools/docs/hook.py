"""A hook for mkdocs: puts the pages that are made from the register into the site. Nothing is written into ``docs``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from pages import files as shown
from pages import lint_rules, policies, questions, shapes, vocabulary
from pages.book import Book
from pages.markdown import Pages

BASE = Path(__file__).resolve().parents[2]
_LOG = logging.getLogger("mkdocs.hooks.chartulary")


def on_files(files: Files, /, *, config: MkDocsConfig) -> Files:
    """Adds the pages, and the files that any page links to."""
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)
    book = Book(BASE)
    made: Pages = {}
    for part in (policies, questions, lint_rules, shapes, vocabulary):
        made |= part.pages(book)
    made |= shown.pages(BASE, {*book.shown, *_linked(files)})
    for place, text in made.items():
        aside = place.startswith("files/") or place.endswith("/claims.md")
        inclusion = InclusionLevel.NOT_IN_NAV if aside else InclusionLevel.UNDEFINED
        files.append(File.generated(config, place, content=text, inclusion=inclusion))
    places = sorted(
        file.src_uri for file in files.documentation_pages() if file.inclusion.value > InclusionLevel.NOT_IN_NAV.value
    )
    config.nav = _filled(config.nav or [], places, str(config.nav))
    _LOG.info("%d pages made from the register, revision %s", len(made), book.register.revision)
    return files


def on_page_markdown(markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lets links of hand-written pages to files of the checkout lead to the pages that show them."""
    if page.file.generated_by:
        return markdown
    path = Path(config.docs_dir) / page.file.src_uri
    return shown.rewritten(markdown, path, page.file.src_uri, BASE)


def _linked(files: Files) -> set[Path]:
    wanted: set[Path] = set()
    for file in files.documentation_pages():
        if file.abs_src_path:
            path = Path(file.abs_src_path)
            wanted |= shown.linked(path.read_text(encoding="utf-8"), path, BASE)
    return wanted


def _filled(nav: list[Any], places: list[str], named: str) -> list[Any]:
    """The navigation with ``folder/*`` replaced by the pages of that folder, and ``*`` by guides that nothing names."""
    filled: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            filled += [{name: _filled(e, places, named) if isinstance(e, list) else e} for name, e in entry.items()]
        elif entry == "*":
            filled += [p for p in places if "/" not in p and p not in named]
        elif entry.endswith("*"):
            filled += [p for p in places if p.startswith(entry[:-1]) and not p.endswith("index.md")]
        else:
            filled.append(entry)
    return filled
