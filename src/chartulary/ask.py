"""Answers the question files in ``queries/``: typed parameters in, cited rows out, here or on a SPARQL server."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chartulary.coding import Coding
from chartulary.errors import ChartularyError
from chartulary.terms import POL, ROOT

if TYPE_CHECKING:
    import pyoxigraph

_VALUES = re.compile(r"VALUES\s*\(([^)]*)\)\s*\{[^}]*\}")
_NESTED = re.compile(r"([\w-]+)\(([^)]*)\)")
KINDS = {
    "payer": POL.Payer,
    "setting": POL.Setting,
    "line-of-business": POL.LineOfBusiness,
    "request": POL.Request,
    "source": POL.Source,
    "policy": POL.Policy,
    "product": ROOT + "scheme/product",
}
"""What a parameter of a kind names: a class of things, or a code scheme."""
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})
_FIRST_DAY, _LAST_DAY = date.min.isoformat(), date.max.isoformat()


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a question wants to be told."""

    name: str
    kind: str
    """``code``, ``payer``, ``setting``, ``line-of-business``, ``request``, ``product``, ``source``, ``policy``,
    ``date`` or ``text``."""
    default: str | None
    """A register IRI in short form (``setting:any``), a text in quotes (``""``), or None: it must be given."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question file: documented header, typed parameters, SPARQL that runs as it stands."""

    name: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    lists: tuple[str, ...]
    """Columns whose values are gathered into a list per row."""
    nested: Mapping[str, tuple[str, ...]]
    """List columns made of several columns."""
    text: str

    @classmethod
    def read(cls, path: Path) -> Query:
        """Raises ChartularyError where the header cannot be read."""
        text = path.read_text(encoding="utf-8")
        header: dict[str, str] = {}
        key = ""
        for line in text.splitlines():
            if not line.startswith("#+"):
                break
            entry = re.match(r"#\+ ([a-z]+): (.*)", line)
            if entry:
                key = entry[1]
                header[key] = entry[2].strip()
            elif key:
                header[key] += " " + line[2:].strip()
        if "summary" not in header:
            raise ChartularyError(f"{path}: a question needs a '#+ summary:' line")
        parameters = []
        for part in filter(None, (p.strip() for p in header.get("params", "").strip("{} ").split(","))):
            name, _, kind = part.partition(":")
            kind, _, default = kind.partition("=")
            parameters.append(Parameter(name.strip(), kind.strip(), default.strip() or None))
        values = _VALUES.search(text)
        if {f"?{p.name}" for p in parameters} != set(values[1].split() if values and parameters else ()):
            raise ChartularyError(f"{path}: the parameters of '#+ params:' are not those of the first VALUES line")
        return cls(
            name=path.stem,
            summary=header["summary"],
            description=header.get("description", ""),
            parameters=tuple(parameters),
            lists=tuple(header.get("lists", "").split()),
            nested={n: tuple(columns.split()) for n, columns in _NESTED.findall(header.get("nested", ""))},
            text=text,
        )

    def bind(self, given: Mapping[str, str], coding: Coding) -> tuple[str, dict[str, str]]:
        """The SPARQL text with its parameters filled in, and their values as understood.

        Raises:
            ChartularyError: a parameter is missing, unknown, or names nothing in the register.
        """
        known = [p.name for p in self.parameters]
        for name in given:
            if name not in known:
                raise ChartularyError(f"question '{self.name}' has no parameter '{name}'{_hint(name, known)}")
        terms: dict[str, str] = {}
        values: dict[str, str] = {}
        for parameter in self.parameters:
            text = given.get(parameter.name)
            if text is None and parameter.default is None:
                raise ChartularyError(f"question '{self.name}' needs --{parameter.name} ({parameter.kind})")
            value = _term(parameter, text, coding)
            values[parameter.name] = value
            named = parameter.kind == "code" or parameter.kind in KINDS
            terms[parameter.name] = f"<{value}>" if named else _literal(value, parameter.kind)
        names = _VALUES.search(self.text)
        if names is None:
            return self.text, values
        order = [name.lstrip("?") for name in names[1].split()]
        row = " ".join(terms[name] for name in order)
        block = f"VALUES ({names[1]}) {{ ({row}) }}"
        return self.text[: names.start()] + block + self.text[names.end() :], values


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows that answer a question; says what was asked and of which register, so that anyone can ask again."""

    query: str
    parameters: Mapping[str, str]
    register_revision: str
    as_known_on: date | None
    results: tuple[Mapping[str, Any], ...] = field(default=())

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame (pandas must be installed)."""
        import pandas

        return pandas.DataFrame([dict(row) for row in self.results])

    def to_polars(self) -> Any:
        """The rows as a polars DataFrame (polars must be installed)."""
        import polars

        return polars.DataFrame([dict(row) for row in self.results], strict=False)


def load_queries(folder: Path) -> dict[str, Query]:
    """Every question of a folder, by name."""
    return {path.stem: Query.read(path) for path in sorted(folder.glob("*.rq"))}


def run_local(text: str, store: pyoxigraph.Store) -> list[dict[str, str]]:
    """Rows of a SELECT on an embedded store."""
    answers: Any = store.query(text)
    names = [variable.value for variable in answers.variables]
    return [
        {name: term.value for name, term in zip(names, solution, strict=True) if term is not None}
        for solution in answers
    ]


def run_remote(text: str, endpoint: str) -> list[dict[str, str]]:
    """Rows of a SELECT on a SPARQL 1.1 server that holds an exported snapshot.

    Raises:
        ChartularyError: the server cannot be reached or refuses the query.
    """
    from SPARQLWrapper import JSON, SPARQLWrapper

    client = SPARQLWrapper(endpoint)
    client.setQuery(text)
    client.setMethod("POST")
    client.setReturnFormat(JSON)
    client.setTimeout(60)
    try:
        answer: Any = client.query().convert()
        bindings: list[dict[str, dict[str, str]]] = answer["results"]["bindings"]
    except Exception as fault:  # the client raises its own, urllib's and json's errors
        reason = " ".join(str(fault).split())[:160]
        raise ChartularyError(f"{endpoint}: no answer: {reason}") from None
    return [{name: term["value"] for name, term in row.items()} for row in bindings]


def gather(query: Query, rows: list[dict[str, str]]) -> tuple[dict[str, Any], ...]:
    """One row per thing answered, its many values gathered into lists in order of first sight."""
    inner = {column for columns in query.nested.values() for column in columns}
    gathered: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for row in rows:
        plain = {k: v for k, v in row.items() if k not in inner and k not in query.lists}
        key = tuple(sorted(plain.items()))
        entry = gathered.setdefault(key, {**plain, **{n: [] for n in (*query.lists, *query.nested)}})
        for name in query.lists:
            if name in row and row[name] not in entry[name]:
                entry[name].append(row[name])
        for name, columns in query.nested.items():
            item = {column: row.get(column) for column in columns}
            if any(item.values()) and item not in entry[name]:
                entry[name].append(item)
    names = _columns(query)
    return tuple({name: _plain(entry.get(name)) for name in names} for entry in gathered.values())


def _columns(query: Query) -> list[str]:
    head = query.text[query.text.index("SELECT") : query.text.index("WHERE")]
    inner = {column: name for name, columns in query.nested.items() for column in columns}
    return list(dict.fromkeys(inner.get(name, name) for name in re.findall(r"\?(\w+)", head)))


def _plain(value: Any) -> Any:
    """The open ends of the calendar are no dates: nothing is stated."""
    return None if value in (_FIRST_DAY, _LAST_DAY) else value


def _term(parameter: Parameter, text: str | None, coding: Coding) -> str:
    if text is None:
        if parameter.kind == "text":
            return (parameter.default or "").strip('"')
        prefix, _, name = (parameter.default or "").partition(":")
        return f"{ROOT}{prefix}/{name}"
    if parameter.kind == "date":
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ChartularyError(f"--{parameter.name}: '{text}' is not a day (yyyy-mm-dd)") from None
    if parameter.kind == "code":
        found = coding.find_code(text)
        if not found:
            raise ChartularyError(f"--{parameter.name}: the register has no code '{text}'")
        if len(found) > 1:
            raise ChartularyError(f"--{parameter.name}: '{text}' is a code in several systems; give its IRI")
        return str(found[0])
    if kind := KINDS.get(parameter.kind):
        thing = coding.named(kind, text)
        if thing is None:
            raise ChartularyError(
                f"--{parameter.name}: the register has no {parameter.kind.replace('-', ' ')} '{text}'"
                + _hint(text, coding.names(kind))
            )
        return str(thing)
    return text


def _literal(value: str, kind: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ChartularyError("half a surrogate pair is no text")
    text = f'"{value.translate(_ESCAPES)}"'
    return f"{text}^^<http://www.w3.org/2001/XMLSchema#date>" if kind == "date" else text


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; it has {', '.join(known)}" if len(known) < 8 else ""
