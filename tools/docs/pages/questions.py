"""A page for each question of ``queries/``: what it asks, what it wants to be told, its text, and a real answer."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator

from rich.console import Console

from chartulary.ask import Parameter, Query
from chartulary.formats import show_answer
from pages.book import Book
from pages.markdown import Pages, code, link, page, plain, table

_INDEX = "questions/index.md"
_MOST_LINES = 60
_WIDTH = 80
_SAMPLES = re.compile(r"VALUES\s*\(([^)]*)\)\s*\{\s*\((.*?)\)\s*\}", re.DOTALL)
_TERM = re.compile(r'"([^"]*)"(?:\^\^\S+)?|<([^>]*)>|(\S+)')


def pages(book: Book) -> Pages:
    """Every question, and an index."""
    queries = list(book.register.queries.values())
    made = {f"questions/{query.name}.md": _question(book, query) for query in queries}
    rows = [(link(query.name, f"questions/{query.name}.md", here=_INDEX), plain(query.summary)) for query in queries]
    made[_INDEX] = page(
        "Questions",
        "Each question is a SPARQL file with typed parameters in `queries/`. It runs as it stands, here and on any "
        "SPARQL server that holds an export of the register. [For analysts](../analysts.md) says how.",
        table(("question", "asks"), rows),
    )
    return made


def _question(book: Book, query: Query) -> str:
    here = f"questions/{query.name}.md"
    path = f"queries/{query.name}.rq"
    rows = [(f"`{p.name}`", plain(p.kind), plain(_default(p))) for p in query.parameters]
    parameters = table(("parameter", "kind", "if left out"), rows)
    command, answer = asked(book, query)
    return page(
        query.summary,
        plain(query.description),
        "## Parameters\n\n" + parameters
        if parameters
        else "It wants no parameters but, as every question, `--as-known-on`.",
        "## An answer\n\n" + code("console", f"{command}\n{answer}"),
        f"## The query\n\n{book.file(path, here=here)}\n\n{code('sparql', query.text)}",
        description=query.description,
    )


def asked(book: Book, query: Query) -> tuple[str, str]:
    """The command that asks with the file's sample values, and the beginning of what it prints at 80 columns."""
    given = samples(query)
    answer = book.register.snapshot().ask(query.name, **given)
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, highlight=False)
    show_answer(console, answer, ": ".join(filter(None, (query.summary, " ".join(given.values())))))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().rstrip("\n").split("\n")]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "…"]
    words = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in given.items()]
    command = [f"$ chartulary ask {query.name}"]
    for word in words:
        if len(command[-1]) + len(word) > _WIDTH - 3:
            command.append(f"    {word}")
        else:
            command[-1] += f" {word}"
    return " \\\n".join(command), "\n".join(lines)


def samples(query: Query) -> dict[str, str]:
    """The sample values of the file, as one writes them on the command line; those that are defaults are left out."""
    found = _SAMPLES.search(query.text)
    if not found or not query.parameters:
        return {}
    names = [name.lstrip("?") for name in found[1].split()]
    values = dict(zip(names, _values(found[2]), strict=True))
    defaults = {p.name: (p.default or "").rpartition(":")[2].strip('"') for p in query.parameters}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _values(row: str) -> Iterator[str]:
    for text, iri, name in _TERM.findall(row):
        if iri:
            yield iri.rpartition("/")[2]
        else:
            yield name.partition(":")[2] if name else text


def _default(parameter: Parameter) -> str:
    if parameter.default is None:
        return "must be given"
    return parameter.default.rpartition(":")[2].strip('"') or "everything"
