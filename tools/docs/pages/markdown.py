"""Small pieces of Markdown that every page uses."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

Pages = dict[str, str]
"""Markdown by place in the site (``policies/index.md``)."""

_SPECIAL = re.compile(r"[&<>\\`*_{}\[\]#|~]")


def plain(text: object) -> str:
    """Text that stands for itself, whatever is in it."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(str(text).split()))


def link(text: object, target: str, *, here: str) -> str:
    """A link to a page of the site, or to a place on it; ``here`` is the page that it stands on."""
    page, _, anchor = target.partition("#")
    way = posixpath.relpath(page, posixpath.dirname(here)) if page and page != here else ""
    return f"[{plain(text)}]({way}{f'#{anchor}' if anchor else ''})"


def anchor(*parts: str) -> str:
    """The name of a place on a page."""
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown cells; nothing where there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines]) + "\n"


def facts(entries: Iterable[tuple[str, str]]) -> str:
    """A list of names, each with what is said of it; entries that say nothing are left out."""
    said = [f"{name}\n:   {indented(text)}\n" for name, text in entries if text]
    return '<div class="ch-facts" markdown>\n\n' + "\n".join(said) + "\n</div>\n" if said else ""


def indented(text: str) -> str:
    """Text that goes on under a list entry or a note."""
    return text.replace("\n", "\n    ").replace("\n    \n", "\n\n")


def note(kind: str, title: str, text: str, *, folded: bool = False) -> str:
    """A box; ``kind`` is one of the theme's (``warning``, ``example``, ``quote``)."""
    return f'{"???" if folded else "!!!"} {kind} "{title.replace(chr(34), "&quot;")}"\n\n    {indented(text)}\n'


def code(kind: str, text: str) -> str:
    """A block of code."""
    fence = "```" if "```" not in text else "~~~~"
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}\n"


def page(title: str, *parts: str, description: str = "", search: bool = True) -> str:
    """A whole page; ``search`` False keeps its text out of the search."""
    head = ["---", f"title: {quoted(title)}"]
    if description:
        head.append(f"description: {quoted(description)}")
    if not search:
        head += ["search:", "  exclude: true"]
    return "\n".join([*head, "---", "", f"# {plain(title)}", "", *(part + "\n" for part in parts if part)])


def quoted(text: str) -> str:
    """Text as YAML takes it."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"
